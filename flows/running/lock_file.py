"""The file dvc.lock, and the locks by which DVC says that it works in the workspace.

DVC writes dvc.lock in place, which takes a while in which the file is empty or cut; nothing here
reads it then.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from dvc.lock import LockError
from dvc.repo import Repo

from imf_core.config import read_yaml

LOCK_FILE = Path("dvc.lock")

_RUNNING = Path(".dvc/tmp/rwlock")
"""Where DVC notes the files that its processes read and write, while their stages run."""

_PAUSE_SECONDS = 1.0

Tell = Callable[[str], None]


def _tell_nobody(_line: str) -> None:
    """Takes a line of who waits where nobody reads it."""


@contextmanager
def resting_dvc(tell: Tell = _tell_nobody, root: Path = Path()) -> Iterator[Repo]:
    """Holds DVC's own lock, waiting for it: meanwhile DVC writes no file of its own.

    A process of DVC that a person has started fails where it waits for longer than three seconds,
    so what is done under the lock must be quick.

    Args:
        tell: Takes a line if another process must be waited for.
        root: The project's root.

    Yields:
        The project as DVC reads it.

    Raises:
        DvcException: If there is no DVC project.
    """
    with Repo(str(root)) as repo:
        is_waiting = False
        while True:
            try:
                repo.lock.lock()
                break
            except LockError:
                if not is_waiting:
                    is_waiting = True
                    tell("waiting for another process of DVC to release its lock")
        try:
            yield repo
        finally:
            repo.lock.unlock()


@contextmanager
def quiet_workspace(tell: Tell) -> Iterator[None]:
    """Waits until no process of DVC runs a stage in the workspace, and holds DVC's lock.

    Meanwhile every out of the last run is whole, and none is removed.

    Args:
        tell: Takes a line if another process must be waited for.
    """
    told = ""
    while True:
        with resting_dvc(tell):
            runner = _find_runner()
            if not runner:
                yield
                return
        if runner != told:
            told = runner
            tell(f"waiting for {runner} to leave the workspace")
        time.sleep(_PAUSE_SECONDS)


def _find_runner() -> str:
    """Names a process of DVC that runs a stage here, "" where there is none.

    A process that was killed leaves its notes behind; DVC removes them when it next needs the file.
    """
    try:
        noted = json.loads(_RUNNING.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):  # DVC itself says so where it is damaged
        return ""
    writers = list(noted.get("write", {}).values())
    readers = [reader for those in noted.get("read", {}).values() for reader in those]
    for process in writers + readers:
        if _is_dvc(process["pid"]):
            return f"`{process['cmd']}` (process {process['pid']})"
    return ""


def _is_dvc(process: int) -> bool:
    """Says whether a process lives and is one of DVC's: its number may be another's by now."""
    try:
        return any("dvc" in word for word in psutil.Process(process).cmdline())
    except psutil.AccessDenied:
        return True
    except psutil.NoSuchProcess:
        return False


def read_lock_file(path: Path) -> dict[str, Any]:
    """Reads what was locked of each stage, by its name.

    It is empty where there is no file, and where the file is cut before its first stage.

    Raises:
        yaml.YAMLError: If it is cut in the midst of a value.
    """
    content = read_yaml(path.read_text(encoding="utf-8")) if path.exists() else None
    stages = content.get("stages") if isinstance(content, dict) else None
    return dict(stages or {})
