"""Data issues: odd input that users should check first.

In: cases found by `download` and `prepare`. Out: `data/raw/issues.json` of `download`, and the list
`issues` of `results/data.json`, which the log, the audit and the report show.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from imf_core.base.artifacts import read_json, write_json

ISSUES_FILE = "issues.json"
MAX_EXAMPLES = 5
MAX_EXAMPLE_CHARACTERS = 200


@dataclass(frozen=True)
class DataIssue:
    """One kind of odd input.

    Attributes:
        kind: A key of letters and underscores, such as `unread_files`.
        count: Number of cases, at least one.
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
        return f"{self.count} {self.after_count}" + (f" (first: {shown})" if shown else "")

    @property
    def after_count(self) -> str:
        """The sentence after the count, in a form that also fits a single case."""
        is_plural = self.count != 1 or self.text.startswith("of ")  # 1 of 4 lines
        return self.text if is_plural else f"case: {self.text}"

    def as_row(self) -> dict[str, Any]:
        """Returns its JSON form."""
        return {**asdict(self), "examples": list(self.examples)}


def issues_of(rows: Iterable[Mapping[str, Any]]) -> list[DataIssue]:
    """Makes issues from their JSON form."""
    return [DataIssue(**{**row, "examples": tuple(row["examples"])}) for row in rows]


@dataclass
class IssueTally:
    """Counts the cases of one issue while a long input is read.

    Attributes:
        kind: As in `DataIssue`.
        text: As in `DataIssue`.
        count: Number of cases so far.
        examples: The first cases.
    """

    kind: str
    text: str
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, case: str) -> None:
        """Counts a case."""
        self.count += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(case[:MAX_EXAMPLE_CHARACTERS])

    def issues(self) -> list[DataIssue]:
        """Returns the issue; an empty list without cases."""
        issue = DataIssue(self.kind, self.count, self.text, tuple(self.examples))
        return [issue] if self.count else []


def data_issue(
    kind: str, text: str, cases: Iterable[str], count: int | None = None
) -> list[DataIssue]:
    """Counts cases and keeps the first as examples; an empty list without cases.

    Args:
        kind: Kind of the issue.
        text: Sentence after the count.
        cases: All cases; the first ones suffice with `count`.
        count: Number of cases; None: counted here.
    """
    cases = iter(cases)
    examples = tuple(case[:MAX_EXAMPLE_CHARACTERS] for case in islice(cases, MAX_EXAMPLES))
    if count is None:
        count = len(examples) + sum(1 for _ in cases)
    return [DataIssue(kind, count, text, examples)] if count else []


def write_issues(raw: Path, issues: Iterable[DataIssue]) -> None:
    """Writes the issues of `download` into the raw folder."""
    write_json(raw / ISSUES_FILE, [issue.as_row() for issue in issues])


def read_issues(raw: Path) -> list[DataIssue]:
    """Reads the issues of `download`; none without the file."""
    path = raw / ISSUES_FILE
    return issues_of(read_json(path)) if path.is_file() else []
