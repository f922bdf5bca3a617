"""The measured figures on disk: one run for each part and number of threads, the last one."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.row import Row

RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True)
class Run:
    """What one part measured with one number of threads.

    Attributes:
        part: Its name.
        threads: Number of threads it could use.
        environment: What it ran on, from `measuring.environment`.
        rows: Its figures.
    """

    part: str
    threads: int
    environment: dict[str, str]
    rows: tuple[Row, ...]


@dataclass
class Results:
    """The last run of every part and number of threads, in the order they first came.

    Attributes:
        runs: By part and number of threads.
    """

    runs: dict[tuple[str, int], Run] = field(default_factory=dict)

    def add(self, run: Run) -> None:
        """Takes a run in, in place of an earlier one of its part and number of threads."""
        self.runs[run.part, run.threads] = run

    def parts(self) -> list[str]:
        """Returns the parts there are runs of."""
        return list(dict.fromkeys(part for part, _ in self.runs))

    def threads(self) -> list[int]:
        """Returns the numbers of threads there are runs with, ascending."""
        return sorted({threads for _, threads in self.runs})


def load_results(path: Path) -> Results:
    """Reads what `save_results` wrote; none where there is no file."""
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
