"""Renders the figures as Markdown: `python -m benchmarks.table` writes them into the texts.

The short table, of ratios and of what has a target, stands in `README.md`; the full one in
`docs/benchmarks.md`: each between a pair of markers.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.recipes import ROOT
from benchmarks.results import RESULTS, Results, load_results
from benchmarks.row import Row

COMPARED = {"training", "evaluation"}
"""Parts all of whose ratios stand in the short table."""

START, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"


def render_short(results: Results) -> str:
    """Returns the table of all ratios, and of what else has a target."""
    lines = _head(["", *_thread_titles(results), "target", "reached"])
    for part in results.parts():
        for rows in _by_name(results, part):
            row = next(each for each in rows if each is not None)
            if row.target is not None or (row.is_ratio and part in COMPARED):
                found = [each.is_reached() for each in rows if each is not None]
                reached = "" if row.target is None else "yes" if all(found) else "no"
                values = [_value(each) for each in rows]
                lines.append(_line([f"{part}: {row.name}", *values, row.target or "", reached]))
    return "\n".join(lines)


def render_full(results: Results) -> str:
    """Returns a table of every figure for each part, under what it was measured on."""
    sections = []
    for part in results.parts():
        runs = [run for run in results.runs.values() if run.part == part]
        places = [
            f"Threads: {run.threads}; "
            + ", ".join(f"{key} {value}" for key, value in run.environment.items())
            + "."
            for run in runs
        ]
        lines = [f"### {part}", "", *dict.fromkeys(places), ""]
        lines += _head(["", *_thread_titles(results), "target", "note"])
        for rows in _by_name(results, part):
            row = next(each for each in rows if each is not None)
            values = [_value(each) for each in rows]
            lines.append(_line([row.name, *values, row.target or "", row.note]))
        sections.append("\n".join(lines))
    return "\n\n".join(sections)


PLACES: dict[Path, Callable[[Results], str]] = {
    ROOT / "README.md": render_short,
    ROOT / "docs" / "benchmarks.md": render_full,
}
"""What is written where."""


def replace_between_markers(text: str, table: str) -> str:
    """Puts a table between the markers of a text.

    Raises:
        ValueError: If the text does not hold each marker once, the one before the other.
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end or START in after or END in after:
        raise ValueError(f"a text must hold {START} once and {END} once after it")
    return f"{before}{START}\n\n{table}\n\n{END}{after}"


def _by_name(results: Results, part: str) -> list[list[Row | None]]:
    """Returns the rows of a part, those of one name for every number of threads together."""
    of_threads = [
        {row.name: row for row in run.rows} if run is not None else {}
        for run in (results.runs.get((part, threads)) for threads in results.threads())
    ]
    names = dict.fromkeys(name for rows in of_threads for name in rows)
    return [[rows.get(name) for rows in of_threads] for name in names]


def _thread_titles(results: Results) -> list[str]:
    """Says with how many threads, and by which clock, each column was measured."""
    return [
        "1 thread, processor time" if threads == 1 else f"{threads} threads, wall clock"
        for threads in results.threads()
    ]


def _value(row: Row | None) -> str:
    """Writes a value with three digits and its unit; nothing where it was not measured."""
    if row is None:
        return ""
    if row.unit == "%":
        return f"{row.value:.1f} %"
    digits = f"{row.value:,.0f}" if abs(row.value) >= 100 else f"{row.value:.3g}"
    return f"{digits}x" if row.unit == "x" else f"{digits} {row.unit}".rstrip()


def _head(titles: list[str]) -> list[str]:
    return [_line(titles), "|" + "---|" * len(titles)]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Writes the tables into every text that has the markers."""
    results = load_results(RESULTS)
    if not results.runs:
        sys.exit("there are no figures yet; run `python -m benchmarks`")
    for path, render in PLACES.items():
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if START not in text:
            print(f"{path.name}: no {START}, left as it is")
            continue
        path.write_text(replace_between_markers(text, render(results)), encoding="utf-8")


if __name__ == "__main__":
    main()
