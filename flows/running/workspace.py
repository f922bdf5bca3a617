"""The workspace: its lock, DVC's locks on it, and dvc.lock.

One run at a time writes the workspace. DVC writes dvc.lock in place: for a while the file is empty
or incomplete, and nothing here reads it in that time.

`python -m flows.running.workspace STAGE` restores the outs of a stage's last good run. It runs
after the stage failed or was stopped, or its flow run was killed. It removes partial outs, and
restores dvc.lock if DVC was killed while writing it.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from filelock import lock_descriptor
from ruamel.yaml.error import YAMLError

from flows.running.children import end_with_worker
from imf_core.base.yaml_text import read_yaml

LOCK = Path(".dvc/tmp/imf-workspace.lock")

LOCK_FILE = Path("dvc.lock")

_KEPT = Path(".dvc/tmp/imf-lock-files")
"""Folder of a copy of dvc.lock for each stage, made before it runs."""

_RUNNING = Path(".dvc/tmp/rwlock")
"""DVC's list of the files that its processes read and write while stages run."""

_PAUSE_SECONDS = 1.0

Notify = Callable[[str], None]


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


@contextmanager
def dvc_locked(notify: Notify, root: Path = Path()) -> Iterator[Repo]:
    """Waits for DVC's lock and holds it; DVC writes none of its files meanwhile.

    A `dvc` command of the user fails after waiting for three seconds, so work under the lock must
    be short.

    Args:
        notify: Receives a line if the call waits for another process.
        root: The project's root.

    Yields:
        The project in DVC's API; its methods may be called under the lock.

    Raises:
        DvcException: If there is no DVC project.
    """
    with Repo(str(root)) as repo, ExitStack() as held:
        is_waiting = False
        while True:
            try:
                held.enter_context(lock_repo(repo))
                break
            except LockError:
                if not is_waiting:
                    is_waiting = True
                    notify("waiting for another process of DVC to release its lock")
        yield repo


@contextmanager
def idle_workspace(notify: Notify) -> Iterator[Repo]:
    """Waits until no DVC process runs a stage in the workspace, and holds DVC's lock.

    Meanwhile every out of the last run is complete, and none is removed.

    Args:
        notify: Receives a line if the call waits for another process.

    Yields:
        The project in DVC's API.
    """
    named = ""
    while True:
        with dvc_locked(notify) as repo:
            runner = find_runner()
            if not runner:
                yield repo
                return
        if runner != named:
            named = runner
            notify(f"waiting for {runner} to leave the workspace")
        time.sleep(_PAUSE_SECONDS)


def find_runner(among: Collection[int] | None = None) -> str:
    """Names a DVC process that runs a stage here, "" if there is none.

    Entries of killed processes are ignored; DVC removes them later.

    Args:
        among: Ids of the processes to consider; None: all.
    """
    notes = _read_notes()
    writers = list(notes.get("write", {}).values())
    readers = [reader for those in notes.get("read", {}).values() for reader in those]
    chosen = [each for each in writers + readers if among is None or each["pid"] in among]
    return next((_name(each) for each in chosen if _is_alive(each)), "")


def find_writer(paths: Collection[str]) -> str:
    """Names a DVC process that writes one of these files, "" if there is none.

    No other process can start such a stage under DVC's lock.

    Args:
        paths: Absolute paths of outs.
    """
    writers = _read_notes().get("write", {})
    chosen = [writers[path] for path in paths if path in writers]
    return next((_name(each) for each in chosen if _is_alive(each)), "")


def _read_notes() -> dict[str, Any]:
    """Reads DVC's list of running processes, empty if there is none."""
    try:
        notes = json.loads(_RUNNING.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):  # DVC itself reports a damaged file
        return {}
    return dict(notes)


def _name(process: Mapping[str, Any]) -> str:
    return f"`{process['cmd']}` (process {process['pid']})"


def _is_alive(noted: Mapping[str, Any]) -> bool:
    """Returns whether a listed process lives; another program may have got its id."""
    try:
        words = psutil.Process(noted["pid"]).cmdline()
    except psutil.AccessDenied:
        return True
    except psutil.NoSuchProcess:
        return False
    is_dvc = ("-m", "dvc") in pairwise(words) or "dvc" in [Path(word).name for word in words[:2]]
    return is_dvc or bool(noted["cmd"] and noted["cmd"] in " ".join(words))


def read_lock_file(path: Path) -> dict[str, Any]:
    """Reads the entries of dvc.lock by stage, see `parse_lock_file`; empty without a file."""
    return parse_lock_file(path.read_text(encoding="utf-8")) if path.exists() else {}


def parse_lock_file(text: str) -> dict[str, Any]:
    """Reads the entries of dvc.lock by stage.

    The result is empty if the text ends before its first stage.

    Raises:
        YAMLError: If the text ends within a value.
    """
    content = read_yaml(text)
    stages = content.get("stages") if isinstance(content, dict) else None
    return dict(stages or {})


def keep_lock_file(stage: str, notify: Notify) -> None:
    """Copies dvc.lock before a stage runs.

    Args:
        stage: Name of the stage.
        notify: Receives a line if the call waits for another process.
    """
    kept = _KEPT / stage
    _KEPT.mkdir(parents=True, exist_ok=True)
    with dvc_locked(notify):
        if LOCK_FILE.exists():
            shutil.copyfile(LOCK_FILE, kept)
        else:
            kept.unlink(missing_ok=True)


def restore_command(stage: str) -> list[str]:
    """Returns the command that restores a stage."""
    return [sys.executable, "-m", "flows.running.workspace", stage]


def restore(stage: str, notify: Notify) -> None:
    """Restores the outs of a stage, and dvc.lock if it is incomplete.

    Outs that another DVC process is writing stay unchanged: DVC refuses to run the stage then,
    which also counts as a failure.

    Args:
        stage: Name of the stage.
        notify: Receives a line if the call waits for another process, or another process writes the
            outs.
    """
    # One lock for both steps: no other process can start the stage in between.
    with dvc_locked(notify) as repo:
        repair_lock_file(stage)
        outs = [out.fs_path for each in repo.stage.collect(stage) for out in each.outs]
        if writer := find_writer(outs):
            notify(f"{stage}: {writer} writes its outs; they stay unchanged")
            return
        # Outs that are not in dvc.lock are incomplete; DVC removes them.
        repo.checkout(targets=[stage], force=True, allow_missing=True)


def repair_lock_file(stage: str) -> None:
    """Replaces an incomplete dvc.lock by its copy. Call it under DVC's lock.

    DVC writes the file under that lock, so no living process is writing it.
    """
    kept = _KEPT / stage
    if _is_whole(kept):
        return
    LOCK_FILE.unlink(missing_ok=True)
    if kept.exists():
        shutil.copyfile(kept, LOCK_FILE)


def main() -> None:
    """Restores the stage that the command line names."""
    try:
        restore(sys.argv[1], print)
    except DvcException as error:
        sys.exit(f"error: {sys.argv[1]} cannot be restored: {error}")


def _is_whole(kept: Path) -> bool:
    """Returns whether dvc.lock is readable, not empty and has every stage of its copy."""
    try:
        stages = read_lock_file(LOCK_FILE)
    except YAMLError:
        return False
    is_cut = LOCK_FILE.exists() and not stages
    return not is_cut and read_lock_file(kept).keys() <= stages.keys()


if __name__ == "__main__":
    main()
