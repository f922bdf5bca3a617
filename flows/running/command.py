"""One command of a flow: its lines in the log, its progress bars, its failure as an error.

A stage records its error as JSON in a file that the environment names; other commands are read by
their output. Lines of DVC and bars of tqdm are parsed here.
"""

import logging
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flows.errors import StageError, StoppedError
from flows.running.children import Children
from flows.running.workspace import find_runner
from imf_core.base.artifacts import read_json
from imf_core.base.errors import ERROR_VARIABLE, ErrorRecord
from imf_core.base.terminal import escaped

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

DVC = [sys.executable, "-m", "dvc", "--wait-for-lock"]

_BUSY_PAUSE_SECONDS = 2.0

Logger = logging.Logger | logging.LoggerAdapter[Any]


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


def run_command(
    children: Children,
    name: str,
    command: Sequence[str],
    after_failure: Sequence[str],
    environment: Mapping[str, str],
    logger: Logger,
    show: Callable[[Bar], None],
) -> list[str]:
    """Runs a command to its end.

    Args:
        children: The flow run's processes.
        name: Name of the command in messages.
        command: Program and arguments.
        after_failure: Command that cleans up if this one fails or is stopped.
        environment: Variables in addition to those of this process.
        logger: Receives the lines.
        show: Receives the states of the progress bars.

    Returns:
        The lines of the output without bars.

    Raises:
        StageError: If the command failed, with the error that it or its stage has recorded, or
            with the cause in its output.
        StoppedError: If the flow run was stopped.
    """
    output: list[str] = []
    with TemporaryDirectory(prefix="imf-") as folder:
        record = Path(folder) / "error.json"
        variables = {"DVC_NO_ANALYTICS": "1", ERROR_VARIABLE: str(record), **environment}
        with children.start(command, after_failure, variables) as child:
            for line in child.lines():
                if is_bar(line):
                    if bar := read_bar(line):
                        show(bar)
                    continue
                output.append(line)
                if not is_chatter(line):
                    logger.log(_level(line), "%s", line)
            status = child.wait()
        if child.was_stopped:
            raise StoppedError(f"{name} was stopped")
        if status:
            raise _stage_error(name, record, output)
    return output


def _stage_error(name: str, record: Path, output: Sequence[str]) -> StageError:
    """Makes the error of a failed command from the record of its stage, else from its output."""
    if not record.exists():
        return StageError(f"{name}: {failure_message(output)}", is_busy=is_busy(output))
    error = ErrorRecord(**read_json(record))
    where = name if error.stage == name else f"{name}: {error.stage}"
    message = "\n".join(map(escaped, error.message.split("\n")))
    return StageError(f"{where}: {message}", error.kind, error.is_temporary)


def run_dvc(
    children: Children,
    name: str,
    arguments: Sequence[str],
    after_failure: Sequence[str],
    environment: Mapping[str, str],
    logger: Logger,
    show: Callable[[Bar], None],
) -> list[str]:
    """Runs DVC, otherwise like `run_command`.

    If another DVC process uses the same files, it waits for that process: DVC itself waits only for
    its lock, which is free while a stage runs. `after_failure` runs then too, and must not touch
    files that the other process writes.
    """
    command = [*DVC, *arguments]
    is_waiting = False
    while True:
        try:
            return run_command(children, name, command, after_failure, environment, logger, show)
        except StageError as error:
            if not error.is_busy:
                raise
            if not is_waiting:
                is_waiting = True
                logger.info("%s", f"waiting for another process of DVC: {error}")
            blockers = read_blockers(str(error))
        children.pause(_BUSY_PAUSE_SECONDS)
        while find_runner(blockers):
            children.pause(_BUSY_PAUSE_SECONDS)


def _level(line: str) -> int:
    """Returns the log level of a line of a stage's output."""
    if line.lower().startswith("error: "):
        return logging.ERROR
    return logging.WARNING if warning_in(line) else logging.INFO
