"""Tables in Markdown, and their place in a text: between a pair of markers."""

from collections.abc import Iterable, Sequence
from pathlib import Path


def make_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lays out a table, one line for each row."""
    marks = "|" + "---|" * len(titles)
    return [_line(titles), marks, *map(_line, rows)]


def start_of(marker: str) -> str:
    """Returns what opens the place of a table."""
    return f"<!-- {marker} -->"


def replace_between_markers(text: str, marker: str, table: str) -> str:
    """Puts a table between the markers of a text.

    Args:
        text: Holds `<!-- marker -->` once and `<!-- /marker -->` once after it.
        marker: Its name.
        table: Lines without an end.

    Raises:
        ValueError: If the text does not hold each marker once, the one before the other.
    """
    opening, closing = start_of(marker), f"<!-- /{marker} -->"
    before, start, rest = text.partition(opening)
    _, end, after = rest.partition(closing)
    if not start or not end or opening in after or closing in after:
        raise ValueError(f"a text must hold {opening} once and {closing} once after it")
    return f"{before}{opening}\n\n{table}\n\n{closing}{after}"


def write_between_markers(path: Path, marker: str, table: str) -> None:
    """Writes a table into a file that has the markers, and says so where one has not."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if start_of(marker) not in text:
        print(f"{path.name}: no {start_of(marker)}, left as it is")
        return
    path.write_text(replace_between_markers(text, marker, table), encoding="utf-8")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
