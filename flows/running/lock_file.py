"""Reads dvc.lock, and DVC's locks on the workspace.

DVC writes dvc.lock in place: for a while the file is empty or incomplete. This module does not read
it in that time.
"""

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo

from imf_core.base.typed_yaml import read_yaml

LOCK_FILE = Path("dvc.lock")

_RUNNING = Path(".dvc/tmp/rwlock")
"""DVC's list of the files that its processes read and write while stages run."""

_PAUSE_SECONDS = 1.0

Notify = Callable[[str], None]


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
    """Names a DVC process whose stage writes one of these files, "" if there is none.

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
    """Reads the entries of dvc.lock by stage.

    The result is empty without a file, or if the file ends before its first stage.

    Raises:
        YAMLError: If the file ends within a value.
    """
    content = read_yaml(path.read_text(encoding="utf-8")) if path.exists() else None
    stages = content.get("stages") if isinstance(content, dict) else None
    return dict(stages or {})
