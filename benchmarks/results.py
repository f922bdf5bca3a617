"""Stores the measured figures: the last run of each part and number of threads."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.row import Row

RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True)
class Run:
    """Figures of one part with one number of threads.

    Attributes:
        part: Name of the part.
        threads: Number of threads.
        environment: From `measuring.environment`.
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

    def threads(self) -> list[int]:
        """Returns the numbers of threads with runs, ascending."""
        return sorted({threads for _, threads in self.runs})


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
