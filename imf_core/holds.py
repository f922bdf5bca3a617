"""Shared and exclusive locks on paths, for runs that share a folder of resumable work.

A lock is an flock on `<path>.lock`: it ends with its process, even if that is killed. The owner of
an exclusive lock deletes the file at the end, so a lock is valid only if its file is still at the
path.
"""

import fcntl
import os
import shutil
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class SharedLock:
    """A shared lock on a path: it excludes exclusive locks, but not other shared ones."""

    def __init__(self, path: Path) -> None:
        """Locks `path`, which need not exist; waits for an exclusive lock to end."""
        self._path = path
        descriptor = _lock(path, fcntl.LOCK_SH)
        self._close = weakref.finalize(self, os.close, descriptor)

    def release(self) -> None:
        """Releases the lock; may be called again."""
        self._close()

    def remove(self) -> None:
        """Releases the lock; the last owner removes the folder at the path."""
        self.release()
        with try_exclusive_lock(self._path) as is_free:
            if is_free:
                shutil.rmtree(self._path, ignore_errors=True)


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Locks `path` exclusively; waits for all other locks to end."""
    descriptor = _lock(path, fcntl.LOCK_EX)
    try:
        yield
    finally:
        _remove_lock(path, descriptor)


@contextmanager
def try_exclusive_lock(path: Path) -> Iterator[bool]:
    """Locks `path` exclusively unless it is locked.

    Yields:
        Whether it is locked now.
    """
    try:
        descriptor = _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
        return
    try:
        yield True
    finally:
        _remove_lock(path, descriptor)


def _lock(path: Path, operation: int) -> int:
    """Locks the file of a path and returns its descriptor.

    Raises:
        BlockingIOError: If the path is locked and `operation` has LOCK_NB.
    """
    file = _lock_file(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, operation)
            if os.path.samestat(os.fstat(descriptor), file.stat()):
                return descriptor
        except FileNotFoundError:  # deleted since it was opened
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _remove_lock(path: Path, descriptor: int) -> None:
    """Deletes the file before the unlock, so that a waiting process sees an invalid lock."""
    _lock_file(path).unlink(missing_ok=True)
    os.close(descriptor)


def _lock_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")
