"""Renders the figures as Markdown: `python -m benchmarks.table` writes them into the docs.

`README.md` has the short table, `docs/benchmarks.md` the full one, each between a pair of markers.
"""

import sys
from collections.abc import Callable, Collection
from pathlib import Path

from benchmarks.recipes import ROOT
from benchmarks.results import RESULTS, Results, load_results
from benchmarks.row import Row
from measuring.markdown import make_table, write_between_markers

SHORT_ROWS = (
    ("growth", "1,000,000 entities: ranking, memory"),
    ("training", "dense against the textbook"),
    ("training", "recipe of larger graphs against the textbook"),
    ("evaluation", "dense against textbook"),
    ("pipeline", "dvc repro with nothing to do"),
)
"""Part and name of each row of the short table."""

MARKER = "benchmarks"


def render_short(results: Results, shown: Collection[tuple[str, str]] = SHORT_ROWS) -> str:
    """Returns the short table.

    Args:
        results: The figures.
        shown: Part and name of each row.
    """
    titles = ["", *_thread_titles(results), "target", "reached"]
    lines = []
    for part in results.parts():
        for rows in _by_name(results, part):
            row = next(each for each in rows if each is not None)
            if (part, row.name) in shown:
                found = [each.is_reached() for each in rows if each is not None]
                reached = "" if row.target is None else "yes" if all(found) else "no"
                values = [_value(each) for each in rows]
                lines.append([f"{part}: {row.name}", *values, row.target or "", reached])
    return "\n".join(make_table(titles, lines))


def render_full(results: Results) -> str:
    """Returns a table of every figure for each part, below its environment."""
    sections = []
    for part in results.parts():
        runs = [run for run in results.runs.values() if run.part == part]
        places = [
            f"Threads: {run.threads}; "
            + ", ".join(f"{key} {value}" for key, value in run.environment.items())
            + "."
            for run in runs
        ]
        titles = ["", *_thread_titles(results), "target", "note"]
        lines = []
        for rows in _by_name(results, part):
            row = next(each for each in rows if each is not None)
            values = [_value(each) for each in rows]
            lines.append([row.name, *values, row.target or "", row.note])
        head = [f"### {part}", "", *dict.fromkeys(places), ""]
        sections.append("\n".join(head + make_table(titles, lines)))
    return "\n\n".join(sections)


PLACES: dict[Path, Callable[[Results], str]] = {
    ROOT / "README.md": render_short,
    ROOT / "docs" / "benchmarks.md": render_full,
}
"""Renderer of each file."""


def _by_name(results: Results, part: str) -> list[list[Row | None]]:
    """Returns the rows of a part, grouped by name: one per number of threads."""
    of_threads = [
        {row.name: row for row in run.rows} if run is not None else {}
        for run in (results.runs.get((part, threads)) for threads in results.threads())
    ]
    names = dict.fromkeys(name for rows in of_threads for name in rows)
    return [[rows.get(name) for rows in of_threads] for name in names]


def _thread_titles(results: Results) -> list[str]:
    """Returns the column titles: number of threads and kind of time."""
    return [
        "1 thread, processor time" if threads == 1 else f"{threads} threads, wall clock"
        for threads in results.threads()
    ]


def _value(row: Row | None) -> str:
    """Formats a value with three digits and its unit; empty if not measured."""
    if row is None:
        return ""
    if row.unit == "%":
        return f"{row.value:.1f} %"
    digits = f"{row.value:,.0f}" if abs(row.value) >= 100 else f"{row.value:.3g}"
    return f"{digits}x" if row.unit == "x" else f"{digits} {row.unit}".rstrip()


def main() -> None:
    """Writes the tables into every text with the markers."""
    results = load_results(RESULTS)
    if not results.runs:
        sys.exit("there are no figures yet; run `python -m benchmarks`")
    for path, render in PLACES.items():
        write_between_markers(path, MARKER, render(results))


if __name__ == "__main__":
    main()
