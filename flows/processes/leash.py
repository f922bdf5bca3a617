"""Runs a command that does not outlive the process that wants it.

This small process stands between the two. Its standard input is a pipe whose other end the wanting
process holds alone: once that closes, because its holder lets go, ends or is killed in whatever
way, the command is stopped with everything it started. A signal to the parent's death would do the
same on Linux alone, and for the command itself but not for what that has started.

It imports nothing but the standard library, to be there at once.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from types import FrameType

GRACE_SECONDS = 3.0
"""From the request to end to the kill."""


def main() -> None:
    """Runs `sys.argv[1]`, a JSON list, and if it failed or was stopped, `sys.argv[2]`, another.

    Further arguments are descriptors that the command holds open as well. SIGTERM does as the
    closing of the pipe. Ends with the command's exit status, 128 + n where it died of signal n.
    """
    command, after_failure = (json.loads(argument) for argument in sys.argv[1:3])
    stop_reader, stop_writer = os.pipe()

    def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
        with suppress(OSError):
            os.close(stop_writer)

    signal.signal(signal.SIGTERM, ask_to_stop)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=[int(argument) for argument in sys.argv[3:]],
    )
    was_stopped = threading.Event()
    for pipe in (sys.stdin.fileno(), stop_reader):
        arguments = (pipe, process, was_stopped)
        threading.Thread(target=_stop_when_closed, args=arguments, daemon=True).start()
    status = process.wait()
    if was_stopped.is_set():
        _end_group(process)
    if (was_stopped.is_set() or status) and after_failure:
        # Nobody may be left to read what it says, and it is not to wait for that.
        quiet = subprocess.DEVNULL
        subprocess.run(after_failure, stdin=quiet, stdout=quiet, stderr=quiet, check=False)
    sys.exit(status if status >= 0 else 128 - status)


def _stop_when_closed(
    pipe: int, process: "subprocess.Popen[bytes]", was_stopped: threading.Event
) -> None:
    """Waits for the other end of the pipe to close, then stops the group of `process`."""
    while os.read(pipe, 4096):
        pass
    was_stopped.set()
    _end_group(process)


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """Asks the group of `process` to end, and kills what is left of it after a while."""
    _signal_group(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while _is_alive(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal_group(process.pid, signal.SIGKILL)


def _is_alive(process: "subprocess.Popen[bytes]") -> bool:
    """Says whether any process of the group is left."""
    process.poll()  # a child that has ended is of the group until it is waited for
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


if __name__ == "__main__":
    main()
