"""Locks the workspace for one run at a time; the system releases the lock after a kill."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.processes.parent import end_with_worker
from flows.running.lock_file import idle_workspace

LOCK = Path(".dvc/tmp/imf-workspace.lock")


@contextmanager
def locked_workspace(run_name: str, notify: Callable[[str], None]) -> Iterator[int]:
    """Waits until no other run and no `dvc repro` uses the workspace, and locks it.

    The lock ends with the last process that has the file open. Pass it to the processes that write,
    so that the processes of a killed run end before another run starts.

    Args:
        run_name: Name of this run, shown to waiting runs.
        notify: Receives a line if the call waits for another run or process.

    Yields:
        Descriptor of the locked file.
    """
    end_with_worker()
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            notify(
                f"waiting for the run {LOCK.read_text(encoding='utf-8')!r} to leave the workspace"
            )
            fcntl.flock(file, fcntl.LOCK_EX)
        name = run_name.encode()
        os.pwrite(file, name, 0)
        os.truncate(file, len(name))
        with idle_workspace(notify):
            pass
        yield file
    finally:
        os.close(file)
