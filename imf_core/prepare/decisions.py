r"""Decisions of people about facts: a file of JSON lines beside params.yaml, to be kept in git.

A line is one decision, with labels, not names, so that it outlives a change of names:

    {"head": "no", "relation": "member_of", "tail": "oecd", "decision": "accepted", "by": "Ada",
     "at": "2026-03-01T09:30:00Z", "model": "5f2c...", "probability": 0.61, "note": "since 1961"}

(written on one line). `model`, `probability` and `note` may be missing. Lines are appended and
never edited; an undo is a line too, with the decision `withdrawn`. The decision of a fact with the
latest time counts, of equal times the one further down.

JSON lines and not TSV: a label may hold tabs, line ends and marks that turn the line, which JSON
escapes; no spreadsheet opens the file by itself and takes a label that begins with `=` for a
formula; and a line names its fields, so that one line of a diff or of a conflict reads by itself.

Appended and not sorted: the time decides, so the order of lines has no meaning, and two branches
merge by keeping the lines of both sides. `.gitattributes` says so to git (`merge=union`).
"""

import json
import os
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from imf_core.base.artifacts import exclusive_lock
from imf_core.base.errors import ConfigError, DataError
from imf_core.base.line_causes import shorten
from imf_core.base.sections import Section, validate
from imf_core.base.terminal import JOINERS
from imf_core.graph.decided import ACCEPTED, REJECTED
from imf_core.sources.formats import read_lines

UNSURE, WITHDRAWN = "unsure", "withdrawn"
VERDICTS = (ACCEPTED, REJECTED, UNSURE, WITHDRAWN)

LabelFact = tuple[str, str, str]
"""Head, relation and tail by label."""

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
LONGEST_NOTE = 2_000
LONGEST_PERSON = 200

_CONFLICT_MARKS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
_HIDDEN = {"Cc", "Cf", "Zl", "Zp"}
"""Categories of characters that a line shows as escapes: controls, formats, separators."""


def _require_text(text: str) -> str:
    """Refuses a blank text, and surrogates, which no file holds."""
    if not text.strip():
        raise ValueError(f"a label or name must not be blank, got {text!r}")
    return _require_encodable(text)


def _require_encodable(text: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"a text must not hold half of a surrogate pair, got {text!a}")
    return text


def _require_verdict(text: str) -> str:
    if text not in VERDICTS:
        raise ValueError(f"decision must be one of {', '.join(VERDICTS)}, got {text!r}")
    return text


def _require_time(text: str) -> str:
    try:
        is_exact = datetime.strptime(text, TIME_FORMAT).strftime(TIME_FORMAT) == text
    except ValueError:
        is_exact = False
    if not is_exact:
        raise ValueError(f"at must be a time in UTC such as 2026-03-01T09:30:00Z, got {text!r}")
    return text


Verdict = Annotated[str, AfterValidator(_require_verdict)]
Label = Annotated[str, AfterValidator(_require_text)]
Note = Annotated[str, Field(max_length=LONGEST_NOTE), AfterValidator(_require_encodable)]


class Decision(Section):
    """One line of the file.

    Attributes:
        head: Label of the head.
        relation: Label of the relation.
        tail: Label of the tail.
        decision: `accepted`, `rejected`, `unsure`, or `withdrawn`, as if none had been made.
        by: Name of the person.
        at: Time in UTC, to the second, `2026-03-01T09:30:00Z`.
        model: First digits of the hash of the model's weights; None without a model.
        probability: Of the fact by this model at that time; None without a model.
        note: Reason or source.
    """

    head: Label
    relation: Label
    tail: Label
    decision: Verdict
    by: Annotated[Label, Field(max_length=LONGEST_PERSON)]
    at: Annotated[str, AfterValidator(_require_time)]
    model: str | None = None
    probability: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    note: Note = ""

    @property
    def fact(self) -> LabelFact:
        """Head, relation and tail."""
        return self.head, self.relation, self.tail


def utc_now() -> str:
    """Returns the time of now as `Decision.at`."""
    return datetime.now(UTC).strftime(TIME_FORMAT)


def read_decisions(path: Path) -> list[Decision]:
    """Reads all lines of a file of decisions, in their order.

    Args:
        path: The file; an empty one has no decisions.

    Raises:
        DataError: If the file is missing or not UTF-8, or a line is no decision; the message names
            file, line, cause and remedy.
    """
    if not path.is_file():
        raise DataError(
            f"{path} (dataset.decisions in params.yaml) is not a file; create it empty, or restore "
            f"the committed one by `git checkout {path}`"
        )
    return [_parse(line, f"{path}, line {number}") for number, line in read_lines(path)[0]]


def _parse(line: str, place: str) -> Decision:
    """Reads one line.

    Raises:
        DataError: If it is no decision.
    """
    if line.startswith(_CONFLICT_MARKS):
        raise DataError(
            f"{place}: a conflict marker of Git ({line[:7]}); keep the lines of both sides, since "
            "each is a decision, and delete the markers"
        )
    remedy = "correct the line or delete it"
    try:
        found = json.loads(line, object_pairs_hook=_require_distinct)
        if not isinstance(found, dict):
            raise DataError(
                f"{place}: a decision is one JSON object, got {shorten(line)}; {remedy}"
            )
        return validate(Decision, found, place)
    except KeyError as error:
        raise DataError(f"{place}: the field {error} occurs twice; {remedy}") from error
    except json.JSONDecodeError as error:
        raise DataError(
            f"{place}: a decision is one JSON object, got {shorten(line)} ({error.msg} at column "
            f"{error.colno}); {remedy}"
        ) from error
    except ConfigError as error:
        raise DataError(f"{str(error).splitlines()[0]}; {remedy}") from error


def _require_distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Makes an object of its fields.

    Raises:
        KeyError: If a field occurs twice.
    """
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise KeyError(name)
        found[name] = value
    return found


def find_latest(decisions: Iterable[Decision]) -> dict[LabelFact, Decision]:
    """Returns the decision of each fact that counts, in order of time; withdrawn ones are left out.

    Args:
        decisions: In the order of the file.
    """
    found: dict[LabelFact, Decision] = {}
    for each in sorted(decisions, key=lambda each: each.at):  # stable: lines of one time stay
        found.pop(each.fact, None)
        found[each.fact] = each
    return {fact: each for fact, each in found.items() if each.decision != WITHDRAWN}


def append_decisions(
    path: Path, decisions: Sequence[Decision]
) -> tuple[list[Decision], list[Decision]]:
    """Appends decisions, all of them or none; other processes that append wait.

    A decision that is not later than one of the same fact in the file, as with a clock behind, gets
    the time of that one, so that it counts.

    Args:
        path: The file, empty for no decisions yet.
        decisions: In order.

    Returns:
        The lines before, and the decisions as written.

    Raises:
        DataError: As in `read_decisions`; nothing is written then.
        OSError: If the file cannot be written, with its earlier content.
    """
    path = path.resolve()
    with exclusive_lock(path):
        earlier = read_decisions(path)
        newest: dict[LabelFact, str] = {}
        for each in earlier:
            newest[each.fact] = max(each.at, newest.get(each.fact, ""))
        written = []
        for each in decisions:
            at = newest[each.fact] = max(each.at, newest.get(each.fact, ""))
            written.append(each.model_copy(update={"at": at}))
        _append(path, "".join(f"{format_decision(each)}\n" for each in written).encode())
    return earlier, written


def format_decision(decision: Decision) -> str:
    """Formats a decision as one line of JSON; hidden characters become escapes."""
    fields = decision.model_dump(exclude_defaults=True)
    text = json.dumps(fields, ensure_ascii=False, allow_nan=False)
    return "".join(
        json.dumps(each)[1:-1]
        if unicodedata.category(each) in _HIDDEN and each not in JOINERS
        else each
        for each in text
    )


def _append(path: Path, content: bytes) -> None:
    """Appends bytes after a whole line; an error leaves the earlier content."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    # Without a buffer, which would write after the truncation.
    with open(descriptor, "r+b", buffering=0) as file:  # noqa: PTH123 - of a descriptor
        size = file.seek(0, os.SEEK_END)
        try:
            if size:
                file.seek(size - 1)
                content = content if file.read(1) == b"\n" else b"\n" + content
            while content:
                content = content[file.write(content) :]
            os.fsync(file.fileno())
        except OSError:
            os.ftruncate(descriptor, size)
            raise
