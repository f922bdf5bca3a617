"""The workspace belongs to one run at a time: a lock on a file, which the system frees."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = Path(".dvc/tmp/imf-workspace.lock")
_PAUSE_SECONDS = 0.5


@contextmanager
def locked_workspace(run_name: str, tell: Callable[[str], None]) -> Iterator[int]:
    """Waits until no other run works in the workspace, and holds it.

    The lock ends with the last process that holds the file open; hand it on to those that write,
    so that what a killed run has left behind ends before another begins.

    Args:
        run_name: Told to whoever comes meanwhile.
        tell: Takes a line if another run must be waited for.

    Yields:
        The descriptor of the locked file.
    """
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        is_told = False
        while not _try(file):
            if not is_told:
                tell(f"waiting for the run {_holder()!r} to leave the workspace")
                is_told = True
            time.sleep(_PAUSE_SECONDS)
        os.truncate(file, 0)
        os.pwrite(file, run_name.encode(), 0)
        yield file
    finally:
        os.close(file)


def _try(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder() -> str:
    return LOCK.read_text(encoding="utf-8")
