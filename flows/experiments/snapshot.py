"""A copy of the workspace for one experiment: what is committed and what git tracks beside it.

`dvc exp run --temp` makes such a copy too, but on the way it stashes the workspace's changes, moves
its HEAD and writes the experiment's values into its params.yaml, for about half a second. A stage
of a pipeline run that starts then reads the wrong values, and a kill leaves all of that behind.
This copy is taken without a touch to any file of the workspace.
"""

import shutil
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from dvc.config import Config
from dvc.repo import Repo

from flows.experiments.git import git, read_head
from flows.running.lock_file import LOCK_FILE
from imf_core.config import read_yaml


@contextmanager
def taken_snapshot(folder: Path) -> Iterator[None]:
    """Copies the workspace into a folder, which is removed in the end.

    It shares git's objects and DVC's cache with the workspace. Files that git does not track are
    not in it; of what it tracks, the state in the working folder is, committed or not.

    Args:
        folder: Where to; must not exist.

    Raises:
        FlowError: If the workspace has no commit, or git fails.
    """
    try:
        _copy(folder)
        _configure(folder)
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep_locked(folder: Path, stages: Container[str]) -> None:
    """Forgets the last run of all other stages.

    An experiment that ends before them would else carry what the baseline's run made, and its
    scores on test would show as the experiment's.

    Args:
        folder: The snapshot.
        stages: Names of stages.
    """
    path = folder / LOCK_FILE
    if path.exists():
        lock = read_yaml(path.read_text(encoding="utf-8"))
        lock["stages"] = {name: run for name, run in lock["stages"].items() if name in stages}
        path.write_text(yaml.safe_dump(lock, sort_keys=False), encoding="utf-8")


def _copy(folder: Path) -> None:
    """Copies what git tracks, by an index of its own."""
    read_head()
    folder.parent.mkdir(parents=True, exist_ok=True)
    index = folder.with_suffix(".index").absolute()
    shutil.copy(git("rev-parse", "--git-path", "index").strip(), index)
    own = {"GIT_INDEX_FILE": str(index)}
    git("add", "--update", environment=own)
    tree = git("write-tree", environment=own).strip()
    index.unlink()
    git("clone", "--quiet", "--shared", "--no-checkout", ".", str(folder))
    git("read-tree", "--reset", "-u", tree, folder=folder)


def _configure(folder: Path) -> None:
    """Gives it the workspace's cache and settings that are of this machine alone."""
    with Repo() as workspace:
        local = workspace.config.read("local")
        cache = workspace.cache.local_cache_dir
    with Config(str(folder / ".dvc"), validate=False).edit("local") as config:
        config.update(local)
        config.setdefault("cache", {})["dir"] = cache
        # DVC's notes on the files here, which would else stay when the folder goes.
        config.setdefault("core", {})["site_cache_dir"] = str(folder.absolute() / ".dvc/tmp/site")
    for setting in ("user.name", "user.email"):
        if value := git("config", "--default", "", "--get", setting).strip():
            git("config", setting, value, folder=folder)
