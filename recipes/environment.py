"""The environment of a measurement, without host name or path, and Markdown tables."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


def describe_environment(code: Sequence[str] = (".",)) -> dict[str, str]:
    """Describes processor, versions, commit and day of a run.

    Args:
        code: Code that the figures depend on, as git pathspecs from the project's root.
    """
    return {
        "cpu": _processor(),
        "cores": str(count_cores()),
        "python": platform.python_version(),
        "torch": version("torch"),
        "commit": _commit(code),
        "date": datetime.now(UTC).date().isoformat(),
    }


def count_cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    """Returns the processor's name on Linux, else its architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit(code: Sequence[str]) -> str:
    """Returns the commit of the code, with "+changes" if tracked files differ from it."""
    commit = _ask_git("rev-parse", "--short", "HEAD")
    changed = _ask_git("status", "--porcelain", "--untracked-files=no", "--", *code)
    return f"{commit}{'+changes' if changed else ''}" if commit else "unknown"


def _ask_git(*arguments: str) -> str:
    """Returns the output of git in the project, "" on failure or without git."""
    if shutil.which("git") is None:
        return ""
    done = subprocess.run(
        ["git", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    return done.stdout.strip()


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
