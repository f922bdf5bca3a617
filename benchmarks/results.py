"""Stores the figures of each part and renders them: `python -m benchmarks.results` writes the docs.

`README.md` has the short table, `docs/benchmarks.md` the full one, each between a pair of markers.
"""

import json
import re
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.accuracy import ROOT
from recipes.environment import make_table, write_between_markers


@dataclass(frozen=True)
class Row:
    """A figure of a part.

    Attributes:
        part: Name of the part.
        name: Name of the figure, unique within the part.
        value: Value in `unit`.
        unit: Unit, "x" for ratios.
        better: The better direction.
        target: Target in the row's unit, such as "at least 8x" or "at most 3 s".
        is_ratio: Whether it compares two cases measured side by side.
        note: Explanation for the reader, may be empty.
    """

    part: str
    name: str
    value: float
    unit: str
    better: Literal["higher", "lower", "none"]
    target: str | None
    is_ratio: bool
    note: str = ""

    def is_reached(self) -> bool | None:
        """Returns whether the value reaches the target, None without a target.

        Raises:
            ValueError: If the target does not start with "at least" or "at most" and a number.
        """
        if self.target is None:
            return None
        found = re.match(r"at (least|most) (\d+(?:\.\d+)?)", self.target)
        if found is None:
            raise ValueError(
                f'the target of "{self.name}" in part {self.part} must start with "at least" or '
                f'"at most" and a number, got "{self.target}"'
            )
        bound = float(found[2])
        return self.value >= bound if found[1] == "least" else self.value <= bound


RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True)
class Run:
    """Figures of one part with one number of threads.

    Attributes:
        part: Name of the part.
        threads: Number of threads.
        environment: From `recipes.environment`.
        rows: The figures.
    """

    part: str
    threads: int
    environment: dict[str, str]
    rows: tuple[Row, ...]


@dataclass
class Results:
    """The last run of every part and number of threads, in order of first insertion.

    Attributes:
        runs: Runs by part and number of threads.
    """

    runs: dict[tuple[str, int], Run] = field(default_factory=dict)

    def add(self, run: Run) -> None:
        """Adds a run, replacing an earlier one of its part and number of threads."""
        self.runs[run.part, run.threads] = run

    def parts(self) -> list[str]:
        """Returns the parts with runs."""
        return list(dict.fromkeys(part for part, _ in self.runs))

    def threads(self, parts: Collection[str]) -> list[int]:
        """Returns the numbers of threads with runs of some parts, ascending."""
        return sorted({threads for part, threads in self.runs if part in parts})


def load_results(path: Path) -> Results:
    """Reads results written by `save_results`; empty if there is no file."""
    results = Results()
    if path.exists():
        for each in json.loads(path.read_text(encoding="utf-8"))["runs"]:
            rows = tuple(Row(**row) for row in each.pop("rows"))
            results.add(Run(**each, rows=rows))
    return results


def save_results(results: Results, path: Path) -> None:
    """Writes all runs as JSON."""
    content = {"runs": [asdict(run) for run in results.runs.values()]}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


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
    threads = results.threads({part for part, _ in shown})
    titles = ["", *map(_title, threads), "target", "reached"]
    lines = []
    for part in results.parts():
        for rows in _by_name(results, part, threads):
            row = next(each for each in rows if each is not None)
            if (part, row.name) in shown:
                found = [each.is_reached() for each in rows if each is not None]
                reached = "" if row.target is None else "yes" if all(found) else "no"
                values = [_value(each) for each in rows]
                lines.append([f"{part}: {row.name}", *values, row.target or "", reached])
    return "\n".join(make_table(titles, lines))


def render_full(results: Results, parts: Collection[str] | None = None) -> str:
    """Returns a table of every figure for each part, below its environment.

    Args:
        results: The figures.
        parts: Names of the parts, None for all.
    """
    sections = []
    for part in results.parts() if parts is None else parts:
        runs = [run for run in results.runs.values() if run.part == part]
        places = [
            f"Threads: {run.threads}; "
            + ", ".join(f"{key} {value}" for key, value in run.environment.items())
            + "."
            for run in runs
        ]
        threads = results.threads([part])
        titles = ["", *map(_title, threads), "target", "note"]
        lines = []
        for rows in _by_name(results, part, threads):
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


def _by_name(results: Results, part: str, threads: Sequence[int]) -> list[list[Row | None]]:
    """Returns the rows of a part, grouped by name: one per number of threads."""
    of_threads = [
        {row.name: row for row in run.rows} if run is not None else {}
        for run in (results.runs.get((part, number)) for number in threads)
    ]
    names = dict.fromkeys(name for rows in of_threads for name in rows)
    return [[rows.get(name) for rows in of_threads] for name in names]


def _title(threads: int) -> str:
    """Returns the title of a column: number of threads and kind of time."""
    return "1 thread, processor time" if threads == 1 else f"{threads} threads, wall clock"


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
