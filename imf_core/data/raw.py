"""Fills the raw folder completely or not at all, by one process at a time."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imf_core.holds import exclusive_lock


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder beside `path` that replaces it on success.

    Success removes all earlier content, possibly of another data set; an error or a kill keeps it.
    Another process that fills the same folder waits.

    Args:
        path: Path of the finished folder.

    Yields:
        The folder to fill.
    """
    temporary, earlier = (path.with_name(f".{path.name}.{name}") for name in ("tmp", "old"))
    with exclusive_lock(path):
        if earlier.exists() and not path.exists():  # killed between the two renames below
            earlier.rename(path)
        _remove(temporary, earlier)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            if path.exists():
                path.rename(earlier)
            temporary.rename(path)
        finally:
            if earlier.exists() and not path.exists():  # interrupted, or the second rename failed
                earlier.rename(path)
            _remove(temporary, earlier)


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
