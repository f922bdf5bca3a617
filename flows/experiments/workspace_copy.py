"""A copy of the workspace for one experiment: what is committed and what git tracks beside it.

`dvc exp run --temp` makes such a copy too, but on the way it stashes the workspace's changes, moves
its HEAD and writes the experiment's values into its params.yaml, for about half a second. A stage
of a pipeline run that starts then reads the wrong values, and a kill leaves all of that behind.
This copy is taken without a touch to any file of the workspace.
"""

import shutil
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from dvc.config import Config
from dvc.repo import Repo
from ruamel.yaml import YAML

from flows.experiments.git import git, read_head
from flows.running.lock_file import LOCK_FILE, Tell, resting_dvc


@dataclass(frozen=True)
class Version:
    """The workspace at one moment, kept among git's objects.

    Attributes:
        commit: What was checked out.
        tree: The files that git tracks, as they stood in the working folder, committed or not.
    """

    commit: str
    tree: str


def record_version(tell: Tell) -> Version:
    """Records the workspace as it stands now. All copies of one flow run are taken of one version.

    Args:
        tell: Takes a line if another process must be waited for.

    Raises:
        FlowError: If the workspace has no commit, or git fails.
    """
    commit = read_head()
    with resting_dvc(tell), TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        shutil.copy(git("rev-parse", "--git-path", "index").strip(), index)
        own = {"GIT_INDEX_FILE": str(index)}
        git("add", "--update", environment=own)
        return Version(commit, git("write-tree", environment=own).strip())


@contextmanager
def taken_copy(version: Version, folder: Path) -> Iterator[None]:
    """Copies the workspace into a folder, which is removed in the end.

    It shares git's objects and DVC's cache with the workspace. Files that git does not track are
    not in it.

    Args:
        version: The workspace at the moment of which the copy is.
        folder: Where to; must not exist.

    Raises:
        FlowError: If git fails.
    """
    try:
        _copy(version, folder)
        _configure(folder)
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def forget_runs_except(folder: Path, stages: Container[str]) -> None:
    """Takes the last runs of all other stages out of the copy's dvc.lock.

    An experiment that ends before them would else carry what the baseline's run made, and its
    scores on test would show as the experiment's.

    Args:
        folder: The copy.
        stages: Names of the stages whose runs stay.
    """
    path = folder / LOCK_FILE
    if path.exists():
        yaml = YAML()  # of version 1.2, as DVC's: 1.1 would write a hash like 12e3 as a number
        lock = yaml.load(path)
        for name in [name for name in lock["stages"] if name not in stages]:
            del lock["stages"][name]
        yaml.dump(lock, path)


def _copy(version: Version, folder: Path) -> None:
    """Makes a repository with a version checked out, on the objects of the workspace's."""
    objects, shallow = (
        Path(git("rev-parse", "--git-path", name).strip()).absolute()
        for name in ("objects", "shallow")
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    git("init", "--quiet", str(folder))
    # `git clone --shared` would do the same, but not for a clone that is shallow.
    (folder / ".git/objects/info/alternates").write_text(f"{objects}\n", encoding="utf-8")
    if shallow.exists():
        shutil.copy(shallow, folder / ".git/shallow")
    git("update-ref", "HEAD", version.commit, folder=folder)
    git("read-tree", "--reset", "-u", version.tree, folder=folder)


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
