"""Runs a command that does not outlive the process that wants it.

This small process stands between the two. Its standard input is a pipe whose other end the wanting
process holds alone: once that closes, because its holder lets go, ends or is killed in whatever
way, the command is stopped with everything it started, and what is to follow is run. A signal to
the parent's death would do the same on Linux alone, and for the command itself but not for what
that has started.

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

GRACE_SECONDS = 3.0
"""From the request to end to the kill."""


def main() -> None:
    """Runs `sys.argv[1]`, a JSON list, and if it was stopped, then `sys.argv[2]`, another.

    Ends with the command's exit status, 128 + n where it died of signal n.
    """
    command, afterwards = (json.loads(argument) for argument in sys.argv[1:])
    was_stopped = threading.Event()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    watch = threading.Thread(target=_stop_when_let_go, args=(process, was_stopped), daemon=True)
    watch.start()
    status = process.wait()
    if was_stopped.is_set():
        watch.join()
        if afterwards:
            subprocess.run(afterwards, stdin=subprocess.DEVNULL, check=False)
    sys.exit(status if status >= 0 else 128 - status)


def _stop_when_let_go(process: "subprocess.Popen[bytes]", was_stopped: threading.Event) -> None:
    """Waits for the pipe to close, then stops the group of `process`."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    was_stopped.set()
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
