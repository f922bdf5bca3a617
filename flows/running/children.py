"""The processes that a flow starts, each under a supervisor, and their common stop.

Cancelling a flow run raises in its main thread, while its tasks wait for their processes in other
threads. So the flow's body runs in `Children`, which stops every process before Prefect waits for
the tasks. Prefect's worker stops its flow runs when it stops, but not when it is killed: a flow run
ends when the process that started it has ended.
"""

import codecs
import json
import os
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import TracebackType
from typing import Self

from flows.errors import StoppedError
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


_SUPERVISOR = [sys.executable, "-m", "flows.running.supervisor"]
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
