"""One command of a flow: its lines in the log, its progress bars, its failure as an error.

A stage records its error as JSON in a file that the environment names; other commands are read by
their output.
"""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flows.errors import StageError, StoppedError
from flows.processes.children import Children
from flows.processes.output import (
    Bar,
    failure_message,
    is_bar,
    is_busy,
    is_chatter,
    read_bar,
    read_blockers,
    warning_in,
)
from flows.running.lock_file import find_runner
from imf_core.base.artifacts import read_json
from imf_core.base.errors import ERROR_VARIABLE, ErrorRecord
from imf_core.base.terminal import escaped

DVC = [sys.executable, "-m", "dvc", "--wait-for-lock"]

_BUSY_PAUSE_SECONDS = 2.0

Logger = logging.Logger | logging.LoggerAdapter[Any]


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
