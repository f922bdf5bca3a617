"""The file dvc.lock: which outs DVC takes for those of which inputs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dvc.repo import Repo

from imf_core.config import read_yaml

LOCK_FILE = Path("dvc.lock")


@contextmanager
def resting_dvc() -> Iterator[None]:
    """Holds DVC's own lock, waiting for it: meanwhile DVC writes nothing in the workspace.

    It writes dvc.lock in place, which takes a while in which the file is empty or cut.
    """
    with Repo(_wait_for_lock=True) as repo, repo.lock:
        yield


def read_lock_file(path: Path) -> dict[str, Any]:
    """Reads what was locked of each stage, by its name.

    It is empty where there is no file, and where the file is cut before its first stage.

    Raises:
        yaml.YAMLError: If it is cut in the midst of a value.
    """
    content = read_yaml(path.read_text(encoding="utf-8")) if path.exists() else None
    stages = content.get("stages") if isinstance(content, dict) else None
    return dict(stages or {})
