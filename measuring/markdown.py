"""Markdown tables, and their insertion into texts between markers."""

from collections.abc import Iterable, Sequence
from pathlib import Path


def make_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Formats a table, one line per row."""
    marks = "|" + "---|" * len(titles)
    return [_line(titles), marks, *map(_line, rows)]


def start_of(marker: str) -> str:
    """Returns the opening marker."""
    return f"<!-- {marker} -->"


def replace_between_markers(text: str, marker: str, table: str) -> str:
    """Replaces the content between the markers of a text by a table.

    Args:
        text: Has `<!-- marker -->` once and `<!-- /marker -->` once after it.
        marker: Name of the markers.
        table: Lines of the table, without a final line end.

    Raises:
        ValueError: If the text does not have each marker once, in order.
    """
    opening, closing = start_of(marker), f"<!-- /{marker} -->"
    before, start, rest = text.partition(opening)
    _, end, after = rest.partition(closing)
    if not start or not end or opening in after or closing in after:
        raise ValueError(f"a text must have {opening} once and {closing} once after it")
    return f"{before}{opening}\n\n{table}\n\n{closing}{after}"


def write_between_markers(path: Path, marker: str, table: str) -> None:
    """Writes a table between the markers of a file; prints a note if it has none."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if start_of(marker) not in text:
        print(f"{path.name}: no {start_of(marker)}, not changed")
        return
    path.write_text(replace_between_markers(text, marker, table), encoding="utf-8")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
