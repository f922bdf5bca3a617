"""Parses the output of stages and of DVC."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_BAR = re.compile(r"\[\d+:\d\d(:\d\d)?[<,]")
_PERCENT = re.compile(r"(?P<label>[^|]+?): +(?P<percent>\d{1,3})%\|")
_CHATTER = re.compile(
    r"To track the changes with git|git add |To enable auto staging|dvc config core.autostage|"
    r"Use `dvc push`|(Generating|Updating) lock file|Data and pipelines are up to date|"
    r"Building workspace index|Ran experiment|Experiment results have been applied|"
    r"To apply the results of an experiment|dvc exp apply|in RWLock-file .* had been killed"
)
_FIRST_DRAWN = "!"
"""First drawing of each of DVC's bars, before its format is known."""

_BUSY = re.compile(r"is busy, it is being blocked by|Unable to acquire lock")
_BLOCKER = re.compile(r"^\s+\(PID (\d+)\): |If there are no processes with such PIDs, ")
_OWN_WARNING = "warning: "
_DVC_ERROR = "ERROR: "


@dataclass(frozen=True)
class Bar:
    """A progress bar of tqdm.

    Attributes:
        label: Its label.
        percent: From 0 to 100.
    """

    label: str
    percent: int


def is_bar(line: str) -> bool:
    """Returns whether a line is a progress bar."""
    return line.strip() == _FIRST_DRAWN or bool(_BAR.search(line))


def read_bar(line: str) -> Bar | None:
    """Reads a stage's bar; None if the line is no bar or the bar has no total.

    DVC also draws bars; they have no label before the number.
    """
    found = _PERCENT.match(line.strip()) if is_bar(line) else None
    return Bar(found["label"].strip(), min(int(found["percent"]), 100)) if found else None


def is_chatter(line: str) -> bool:
    """Returns whether a line of DVC is of no use in a stage's log."""
    return bool(_CHATTER.search(line) or _BLOCKER.search(line) or _is_busy(line))


def warning_in(line: str) -> str:
    """Returns the text of a warning, "" if the line is no warning."""
    is_warning = line.lower().startswith(_OWN_WARNING)
    return line[len(_OWN_WARNING) :] if is_warning else ""


def failure_message(lines: Sequence[str]) -> str:
    """Finds the cause in the output of a stage that left no record of its error.

    This is the last line of its traceback, else DVC's message: the stage did not start, or was
    killed.
    """
    by_dvc = (index for index, line in enumerate(lines) if line.startswith(_DVC_ERROR))
    end = next(by_dvc, len(lines))
    if any(line.startswith("Traceback ") for line in lines[:end]):
        return lines[end - 1]
    return "\n".join(line.removeprefix(_DVC_ERROR) for line in lines[end:]) or "no output"


def is_busy(lines: Sequence[str]) -> bool:
    """Returns whether DVC failed because another DVC process uses the same files."""
    return any(map(_is_busy, lines))


def read_blockers(message: str) -> set[int]:
    """Reads the ids of the processes that DVC reports as using the same files."""
    found = (_BLOCKER.match(line) for line in message.splitlines())
    return {int(match[1]) for match in found if match and match[1]}


def _is_busy(line: str) -> bool:
    return line.startswith(_DVC_ERROR) and bool(_BUSY.search(line))
