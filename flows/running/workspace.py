"""The workspace and its lock: one run at a time, and files read while DVC may work."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import lock_descriptor

from flows.processes.children import end_with_worker
from flows.running.lock_file import Notify, idle_workspace

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
        if not lock_descriptor(file, blocking=False):
            notify(
                f"waiting for the run {LOCK.read_text(encoding='utf-8')!r} to leave the workspace"
            )
            lock_descriptor(file)
        name = run_name.encode()
        os.pwrite(file, name, 0)
        os.truncate(file, len(name))
        with idle_workspace(notify):
            pass
        yield file
    finally:
        os.close(file)


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
