"""The workspace belongs to one run at a time: a lock on a file, which the system frees."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.processes.parent import end_with_worker
from flows.running.lock_file import quiet_workspace

LOCK = Path(".dvc/tmp/imf-workspace.lock")


@contextmanager
def locked_workspace(run_name: str, tell: Callable[[str], None]) -> Iterator[int]:
    """Waits until no other run and no `dvc repro` works in the workspace, and holds it.

    The lock ends with the last process that holds the file open; hand it on to those that write,
    so that what a killed run has left behind ends before another begins.

    Args:
        run_name: Told to whoever comes meanwhile.
        tell: Takes a line if another run or process must be waited for.

    Yields:
        The descriptor of the locked file.
    """
    end_with_worker()
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"waiting for the run {LOCK.read_text(encoding='utf-8')!r} to leave the workspace")
            fcntl.flock(file, fcntl.LOCK_EX)
        name = run_name.encode()
        os.pwrite(file, name, 0)
        os.truncate(file, len(name))
        with quiet_workspace(tell):
            pass
        yield file
    finally:
        os.close(file)
