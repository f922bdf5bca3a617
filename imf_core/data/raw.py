"""The raw folder: filled anew each time, whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder beside `path` that takes its place on success.

    Nothing of an earlier content, perhaps of another data set, stays behind; on a fault the
    earlier content stays.

    Args:
        path: Where the finished folder is to stand.

    Yields:
        The folder to fill.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
