"""Supervises a command so that it does not outlive the process that started it.

The supervisor is a small process between the two. Its standard input is a pipe from the starting
process only. When the pipe closes, because that process closes it, ends or is killed, the
supervisor stops the command with all its descendants. A parent-death signal would work on Linux
only, and not for descendants.

It imports only the standard library, to start fast.
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
"""Time between SIGTERM and SIGKILL."""


def main() -> None:
    """Runs `sys.argv[1]`, a JSON list, and after a failure or a stop, `sys.argv[2]`, another.

    Further arguments are descriptors that the command keeps open. SIGTERM acts like the closing of
    the pipe. The exit status is that of the command, 128 + n if signal n killed it.
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
        # It must not wait for a reader of its output.
        quiet = subprocess.DEVNULL
        subprocess.run(after_failure, stdin=quiet, stdout=quiet, stderr=quiet, check=False)
    sys.exit(status if status >= 0 else 128 - status)


def _stop_when_closed(
    pipe: int, process: "subprocess.Popen[bytes]", was_stopped: threading.Event
) -> None:
    """Waits until the other end of the pipe closes, then stops the group of `process`."""
    while os.read(pipe, 4096):
        pass
    was_stopped.set()
    _end_group(process)


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """Sends SIGTERM to the group of `process`, and SIGKILL after `GRACE_SECONDS`."""
    _signal_group(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while _is_alive(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal_group(process.pid, signal.SIGKILL)


def _is_alive(process: "subprocess.Popen[bytes]") -> bool:
    """Returns whether any process of the group is left."""
    process.poll()  # an ended child stays in the group until it is waited for
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
