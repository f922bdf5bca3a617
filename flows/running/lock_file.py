"""The file dvc.lock, and the locks by which DVC says that it works in the workspace.

DVC writes dvc.lock in place, which takes a while in which the file is empty or cut; nothing here
reads it then.
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

from imf_core.config import read_yaml

LOCK_FILE = Path("dvc.lock")

_RUNNING = Path(".dvc/tmp/rwlock")
"""Where DVC notes the files that its processes read and write, while their stages run."""

_PAUSE_SECONDS = 1.0

Tell = Callable[[str], None]


@contextmanager
def resting_dvc(tell: Tell, root: Path = Path()) -> Iterator[Repo]:
    """Holds DVC's own lock, waiting for it: meanwhile DVC writes no file of its own.

    A process of DVC that a person has started fails where it waits for longer than three seconds,
    so what is done under the lock must be quick.

    Args:
        tell: Takes a line if another process must be waited for.
        root: The project's root.

    Yields:
        The project as DVC reads it. Its own methods run under the lock that is held.

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
                    tell("waiting for another process of DVC to release its lock")
        yield repo


@contextmanager
def quiet_workspace(tell: Tell) -> Iterator[Repo]:
    """Waits until no process of DVC runs a stage in the workspace, and holds DVC's lock.

    Meanwhile every out of the last run is whole, and none is removed.

    Args:
        tell: Takes a line if another process must be waited for.

    Yields:
        The project as DVC reads it.
    """
    named = ""
    while True:
        with resting_dvc(tell) as repo:
            runner = find_runner()
            if not runner:
                yield repo
                return
        if runner != named:
            named = runner
            tell(f"waiting for {runner} to leave the workspace")
        time.sleep(_PAUSE_SECONDS)


def find_runner(among: Collection[int] | None = None) -> str:
    """Names a process of DVC that runs a stage here, "" where there is none.

    A process that was killed leaves its notes behind; DVC removes them when it next needs the file.

    Args:
        among: The processes to consider, by their numbers; None: all.
    """
    notes = _read_notes()
    writers = list(notes.get("write", {}).values())
    readers = [reader for those in notes.get("read", {}).values() for reader in those]
    chosen = [each for each in writers + readers if among is None or each["pid"] in among]
    return next((_name(each) for each in chosen if _is_alive(each)), "")


def find_writer(paths: Collection[str]) -> str:
    """Names a process of DVC that runs a stage which writes one of these files, "" without one.

    Under DVC's lock, none can begin to.

    Args:
        paths: Absolute paths of outs.
    """
    writers = _read_notes().get("write", {})
    chosen = [writers[path] for path in paths if path in writers]
    return next((_name(each) for each in chosen if _is_alive(each)), "")


def _read_notes() -> dict[str, Any]:
    """Reads DVC's notes, empty where there are none."""
    try:
        notes = json.loads(_RUNNING.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):  # DVC itself says so where it is damaged
        return {}
    return dict(notes)


def _name(process: Mapping[str, Any]) -> str:
    return f"`{process['cmd']}` (process {process['pid']})"


def _is_alive(noted: Mapping[str, Any]) -> bool:
    """Says whether a noted process lives: its number may belong to another program by now."""
    try:
        words = psutil.Process(noted["pid"]).cmdline()
    except psutil.AccessDenied:
        return True
    except psutil.NoSuchProcess:
        return False
    is_dvc = ("-m", "dvc") in pairwise(words) or "dvc" in [Path(word).name for word in words[:2]]
    return is_dvc or bool(noted["cmd"] and noted["cmd"] in " ".join(words))


def read_lock_file(path: Path) -> dict[str, Any]:
    """Reads what was locked of each stage, by its name.

    It is empty where there is no file, and where the file is cut before its first stage.

    Raises:
        yaml.YAMLError: If it is cut in the midst of a value.
    """
    content = read_yaml(path.read_text(encoding="utf-8")) if path.exists() else None
    stages = content.get("stages") if isinstance(content, dict) else None
    return dict(stages or {})
