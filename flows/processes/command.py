"""Runs one supervised command: logs its lines, shows its bars and reports its failure."""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flows.faults import StageError, StoppedError
from flows.processes.children import Children
from flows.processes.output import (
    Bar,
    failure_message,
    is_bar,
    is_busy,
    is_chatter,
    is_temporary,
    read_bar,
    read_blockers,
    warning_in,
)
from flows.running.lock_file import find_runner

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
        StageError: If the command failed, with its own message or that of its stage.
        StoppedError: If the flow run was stopped.
    """
    output: list[str] = []
    variables = {"DVC_NO_ANALYTICS": "1", **environment}
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
        raise StageError(
            f"{name}: {failure_message(output)}", is_temporary(output), is_busy(output)
        )
    return output


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
