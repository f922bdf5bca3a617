"""The processes that a flow starts, each on a leash, and how all of them are stopped at once.

Cancelling a flow run raises in its main thread, while its tasks wait for their processes in other
threads. So the flow's body runs in `Children`, which lets go of every leash before Prefect waits
for the tasks.
"""

import codecs
import json
import os
import re
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from flows.faults import StoppedError
from flows.processes.parent import end_with_worker
from imf_core.terminal import escaped

_LEASH = [sys.executable, "-m", "flows.processes.leash"]
_TERMINAL_SIZE = (24, 100)
"""Lines and columns."""

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Child:
    """A running command and its output. A context manager, made by `Children`.

    It writes to a terminal, not to a pipe: its lines come as they are written, those of standard
    output and standard error in one order, and tqdm draws its bars.

    Attributes:
        was_stopped: Whether it was stopped before it ended by itself.
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
        termios.tcsetwinsize(writer, _TERMINAL_SIZE)  # tqdm draws nothing on one without a size
        commands = [json.dumps(list(each)) for each in (command, after_failure)]
        try:
            self._process = subprocess.Popen(
                [*_LEASH, *commands, *map(str, held_files)],
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
        """Stops the command if an error came up, and waits for its end."""
        if error is not None:
            self.stop()
        os.close(self._reader)  # first: nobody is to wait for being read
        self.wait()
        self._let_go()

    def lines(self) -> Iterator[str]:
        """Yields the lines of the output as they come, until the command has ended.

        A bar that is drawn again over itself is a line each time. Colours are taken out, other
        characters that a reader of a log does not see become escapes.
        """
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        rest = ""
        while data := self._read():
            *lines, rest = re.split(r"[\r\n]+", rest + decoder.decode(data))
            yield from filter(str.strip, (escaped(_ESCAPE.sub("", line)) for line in lines))
        yield from filter(str.strip, [escaped(_ESCAPE.sub("", rest))])

    def stop(self) -> None:
        """Asks the command and everything it has started to end; does not wait for it."""
        self.was_stopped = True
        self._let_go()

    def wait(self) -> int:
        """Waits for the command to end and returns its exit status."""
        return self._process.wait()

    def _let_go(self) -> None:
        """Closes the pipe to the leash."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _read(self) -> bytes:
        try:
            return os.read(self._reader, 65_536)
        except OSError:  # EIO: nobody holds the other side of the terminal any more
            return b""


class Children:
    """All processes of one flow run. A context manager: an error in its body stops them.

    Where a worker has launched the flow run, the worker's end is such an error.
    """

    def __init__(self, held_files: Sequence[int] = ()) -> None:
        """Makes an empty set.

        Args:
            held_files: Descriptors of files kept open until the last process has ended, even
                where this process is killed: a lock, for example.
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
        """After an error, of whatever kind, stops what runs and waits for its end."""
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
        """Starts a command in the working folder; it ends when this process does.

        Args:
            command: Program and arguments.
            after_failure: What is run if the command fails or is stopped, to clean up behind it.
            environment: Variables set for it beside those of this process.

        Raises:
            StoppedError: If the flow run is being stopped.
        """
        with self._lock:
            self.pause(0)
            child = Child(command, after_failure, environment or {}, self._held_files)
            self._running.append(child)
        return child

    def pause(self, seconds: float) -> None:
        """Waits, but not longer than the flow run goes on.

        Raises:
            StoppedError: If the flow run is being stopped.
        """
        if self._is_stopping.wait(seconds):
            raise StoppedError("the flow run is being stopped")
