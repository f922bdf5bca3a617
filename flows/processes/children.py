"""The processes that a flow starts, each under a supervisor, and their common stop.

Cancelling a flow run raises in its main thread, while its tasks wait for their processes in other
threads. So the flow's body runs in `Children`, which stops every process before Prefect waits for
the tasks. Prefect's worker stops its flow runs when it stops, but not when it is killed: a flow run
ends when the process that started it has ended.
"""

import codecs
import json
import logging
import os
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from flows.errors import StageError, StoppedError
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

_LAUNCHED = "PREFECT__FLOW_RUN_ID"
"""Set by a worker for the processes that it launches."""

_PAUSE_SECONDS = 0.5
_GRACE_SECONDS = 10.0


@cache
def end_with_worker() -> None:
    """Calls `end_with_parent`, once, if a worker launched this process."""
    if _LAUNCHED in os.environ:
        end_with_parent()


def end_with_parent() -> None:
    """Watches the parent in a thread; at its end, sends SIGTERM and later SIGKILL to this process.

    After SIGTERM the process cleans up and reports its state. A parent that ended before the call
    goes unnoticed.
    """
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PAUSE_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


_SUPERVISOR = [sys.executable, "-m", "flows.processes.supervisor"]
_TERMINAL_SIZE = (24, 100)
"""Lines and columns."""

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Child:
    """A running command and its output. A context manager, made by `Children`.

    The command writes to a terminal, not to a pipe: lines arrive at once, standard output and
    standard error keep their order, and tqdm draws its bars.

    Attributes:
        was_stopped: Whether `stop` was called.
    """

    def __init__(
        self,
        command: Sequence[str],
        after_failure: Sequence[str],
        environment: Mapping[str, str],
        held_files: Sequence[int],
    ) -> None:
        """Starts `command`; see `Children.start`."""
        self.was_stopped = False
        self._reader, writer = os.openpty()
        termios.tcsetwinsize(
            writer, _TERMINAL_SIZE
        )  # tqdm draws nothing on a terminal without a size
        commands = [json.dumps(list(each)) for each in (command, after_failure)]
        try:
            self._process = subprocess.Popen(
                [*_SUPERVISOR, *commands, *map(str, held_files)],
                stdin=subprocess.PIPE,
                stdout=writer,
                stderr=writer,
                start_new_session=True,
                pass_fds=held_files,
                env={**os.environ, **environment},
            )
        except BaseException:
            os.close(self._reader)
            raise
        finally:
            os.close(writer)

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stops the command after an error, and waits for its end."""
        if error is not None:
            self.stop()
        os.close(self._reader)  # first, so that the command does not wait for a reader
        self.wait()
        self._close_pipe()

    def lines(self) -> Iterator[str]:
        """Yields the lines of the output until the command ends.

        Each update of a progress bar is a line. Colours are removed; other invisible characters
        become escapes.
        """
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        rest = ""
        while data := self._read():
            *lines, rest = re.split(r"[\r\n]+", rest + decoder.decode(data))
            yield from filter(str.strip, (escaped(_ESCAPE.sub("", line)) for line in lines))
        yield from filter(str.strip, [escaped(_ESCAPE.sub("", rest))])

    def stop(self) -> None:
        """Asks the command and its descendants to end, without waiting."""
        self.was_stopped = True
        self._close_pipe()

    def wait(self) -> int:
        """Waits for the command to end and returns its exit status."""
        return self._process.wait()

    def _close_pipe(self) -> None:
        """Closes the pipe to the supervisor, which then stops the command."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _read(self) -> bytes:
        try:
            return os.read(self._reader, 65_536)
        except OSError:  # EIO: the other side of the terminal is closed
            return b""


class Children:
    """All processes of one flow run. A context manager: an error in its body stops them.

    The end of the worker that launched the flow run counts as an error.
    """

    def __init__(self, held_files: Sequence[int] = ()) -> None:
        """Makes an empty set.

        Args:
            held_files: Descriptors that stay open until the last process has ended, even if this
                process is killed: a lock, for example.
        """
        self._held_files = held_files
        self._running: list[Child] = []
        self._lock = threading.Lock()
        self._is_stopping = threading.Event()

    def __enter__(self) -> Self:
        """Returns itself."""
        end_with_worker()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """After any error, stops all processes and waits for their end."""
        if error is None:
            return
        with self._lock:
            self._is_stopping.set()
            running = list(self._running)
        for child in running:
            child.stop()
        for child in running:
            child.wait()

    def start(
        self,
        command: Sequence[str],
        after_failure: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Child:
        """Starts a command in the working folder; it ends with this process.

        Args:
            command: Program and arguments.
            after_failure: Command that cleans up if this one fails or is stopped.
            environment: Variables in addition to those of this process.

        Raises:
            StoppedError: If the flow run is being stopped.
        """
        with self._lock:
            self.pause(0)
            child = Child(command, after_failure, environment or {}, self._held_files)
            self._running.append(child)
        return child

    def pause(self, seconds: float) -> None:
        """Waits, at most until the flow run is stopped.

        Raises:
            StoppedError: If the flow run is being stopped.
        """
        if self._is_stopping.wait(seconds):
            raise StoppedError("the flow run is being stopped")


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
