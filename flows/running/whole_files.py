"""Files of the last run, read while DVC may work: DVC's lock is held for links alone."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from flows.running.lock_file import Tell, quiet_workspace


@contextmanager
def whole_files(paths: Iterable[Path], tell: Tell) -> Iterator[Path]:
    """Links outs of the last run into a folder, which is removed in the end.

    DVC removes an out before its stage runs, and does not write into it; a link keeps the content.

    Args:
        paths: Of the files, relative to the working folder; those that do not exist are left out.
        tell: Takes a line if another process must be waited for.

    Yields:
        The folder, in which each file has the path that it has in the working folder.
    """
    with ExitStack() as kept:
        with quiet_workspace(tell) as repo:
            folder = Path(kept.enter_context(TemporaryDirectory(dir=repo.tmp_dir)))
            for path in filter(Path.exists, paths):
                link = folder / path
                link.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(path.resolve(), link)
                except OSError:  # another file system, or one without links
                    shutil.copyfile(path, link)
        yield folder
