"""Links files of the last run, for reading while DVC may run; the lock is held only for linking."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from flows.running.lock_file import Notify, idle_workspace


@contextmanager
def whole_files(paths: Iterable[Path], notify: Notify) -> Iterator[Path]:
    """Links outs of the last run into a folder, which is removed at the end.

    DVC deletes an out before its stage runs and does not write into it, so a link keeps the
    content.

    Args:
        paths: Paths relative to the working folder; missing files are left out.
        notify: Receives a line if the call waits for another process.

    Yields:
        The folder; each file has its path relative to the working folder.
    """
    with ExitStack() as kept:
        with idle_workspace(notify) as repo:
            folder = Path(kept.enter_context(TemporaryDirectory(dir=repo.tmp_dir)))
            for path in filter(Path.exists, paths):
                link = folder / path
                link.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(path.resolve(), link)
                except OSError:  # another file system, or no support for links
                    shutil.copyfile(path, link)
        yield folder
