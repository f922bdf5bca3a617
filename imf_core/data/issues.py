"""Data issues: odd things in the input that a person should look at first.

In: what `download` and `prepare` notice. Out: `data/raw/issues.json` of `download`, and the list
`issues` of `results/data.json`, which the log, the audit and the report show.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from imf_core.artifacts import read_json, write_json

ISSUES_FILE = "issues.json"
MAX_EXAMPLES = 5
MAX_EXAMPLE_CHARACTERS = 200


@dataclass(frozen=True)
class DataIssue:
    """One kind of odd input.

    Attributes:
        kind: A key of letters and underscores, such as `unread_files`.
        count: Number of cases; an issue has at least one.
        text: A sentence that follows the count, such as "files of the folder were not read".
        examples: The first cases, at most `MAX_EXAMPLES`, each at most
            `MAX_EXAMPLE_CHARACTERS` long.
    """

    kind: str
    count: int
    text: str
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Returns the line of the log."""
        shown = "; ".join(self.examples)
        return f"{self.count} {self.text}" + (f" (first: {shown})" if shown else "")


def data_issue(kind: str, text: str, cases: Iterable[str]) -> list[DataIssue]:
    """Counts cases and keeps the first as examples; an empty list where there is none."""
    count = 0
    examples: list[str] = []
    for case in cases:
        count += 1
        if len(examples) < MAX_EXAMPLES:
            examples.append(case[:MAX_EXAMPLE_CHARACTERS])
    return [DataIssue(kind, count, text, tuple(examples))] if count else []


def write_issues(raw: Path, issues: Iterable[DataIssue]) -> None:
    """Writes the issues of `download` into the raw folder."""
    write_json(raw / ISSUES_FILE, [asdict(issue) for issue in issues])


def read_issues(raw: Path) -> list[DataIssue]:
    """Reads the issues of `download`; none where the raw folder has no such file."""
    path = raw / ISSUES_FILE
    if not path.is_file():
        return []
    return [DataIssue(**{**row, "examples": tuple(row["examples"])}) for row in read_json(path)]
