"""Keeps runs that share a folder for resumable work out of each other's way.

Who works on a path holds it, together with others or alone. A hold is a lock on `<path>.lock`: it
ends with its process, however that ends. Whoever holds a path alone takes the lock's file away in
the end, so a lock counts only if its file is still the one that stands there.
"""

import fcntl
import os
import shutil
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Hold:
    """A path in use: nobody holds it alone meanwhile, but others may use it too."""

    def __init__(self, path: Path) -> None:
        """Holds `path`, which need not exist; waits while somebody holds it alone."""
        self._path = path
        descriptor = _lock(path, fcntl.LOCK_SH)
        self._close = weakref.finalize(self, os.close, descriptor)

    def release(self) -> None:
        """Lets the path go; may be repeated."""
        self._close()

    def remove(self) -> None:
        """Lets the path go and removes the folder there, which the last one who holds it does."""
        self.release()
        with held_if_free(self._path) as is_free:
            if is_free:
                shutil.rmtree(self._path, ignore_errors=True)


@contextmanager
def held_alone(path: Path) -> Iterator[None]:
    """Holds `path` while nobody else does; waits for that."""
    descriptor = _lock(path, fcntl.LOCK_EX)
    try:
        yield
    finally:
        _remove_lock(path, descriptor)


@contextmanager
def held_if_free(path: Path) -> Iterator[bool]:
    """Holds `path` if nobody else does.

    Yields:
        Whether it is held.
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
        BlockingIOError: If that would take waiting and `operation` says not to wait.
    """
    file = _lock_file(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, operation)
            if os.path.samestat(os.fstat(descriptor), file.stat()):
                return descriptor
        except FileNotFoundError:  # taken away since it was opened
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _remove_lock(path: Path, descriptor: int) -> None:
    """Takes the file away before it lets go: who waits for it finds that it counts no more."""
    _lock_file(path).unlink(missing_ok=True)
    os.close(descriptor)


def _lock_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")
