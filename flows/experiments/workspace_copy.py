"""A copy of the workspace for one experiment: the committed files and those that git tracks.

`dvc exp run --temp` makes such a copy too, but it stashes the workspace's changes, moves its HEAD
and writes the experiment's values into its params.yaml for about half a second. A stage of a
pipeline run that starts then reads the wrong values, and a kill leaves all of that behind. This
copy touches no file of the workspace.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from dvc.config import Config
from dvc.repo import Repo
from ruamel.yaml import YAML

from flows.errors import FlowError
from flows.running.workspace import LOCK_FILE, Notify, dvc_locked

_EXPERIMENT = re.compile(r"refs/exps/([0-9a-f]{2})/([0-9a-f]{38})/(\S+) ([0-9a-f]{40})")


@dataclass(frozen=True)
class Experiment:
    """An experiment of DVC.

    Attributes:
        name: Its name.
        baseline: The commit from which it stems.
        commit: The commit with its files; on no branch.
    """

    name: str
    baseline: str
    commit: str

    @property
    def ref(self) -> str:
        """The git reference in which DVC keeps it."""
        return f"refs/exps/{self.baseline[:2]}/{self.baseline[2:]}/{self.name}"


def git(
    *arguments: str, folder: Path = Path(), environment: Mapping[str, str] | None = None
) -> str:
    """Runs git and returns its standard output.

    Args:
        arguments: The subcommand and its arguments.
        folder: Working folder of git.
        environment: Variables set in addition to those of this process.

    Raises:
        FlowError: If git fails, with its message.
    """
    result = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",  # file names may be any bytes
        check=False,
    )
    if result.returncode:
        raise FlowError(f"git {arguments[0]}: {result.stderr.strip() or result.stdout.strip()}")
    return result.stdout


def read_head() -> str:
    """Returns the hash of the commit that is checked out.

    Raises:
        FlowError: If there is none.
    """
    try:
        return git("rev-parse", "--verify", "HEAD").strip()
    except FlowError as error:
        raise FlowError(
            "experiments stem from a commit and this project has none; commit it first: "
            "`git add -A`, `git commit`"
        ) from error


def list_experiments(folder: Path = Path()) -> list[Experiment]:
    """Lists the experiments of a project from all commits, sorted by name.

    Args:
        folder: The project's root.
    """
    refs = git("for-each-ref", "--format=%(refname) %(objectname)", "refs/exps", folder=folder)
    found = (_EXPERIMENT.fullmatch(line) for line in refs.splitlines())
    experiments = [Experiment(m[3], m[1] + m[2], m[4]) for m in found if m]
    return sorted(experiments, key=lambda experiment: experiment.name)


@dataclass(frozen=True)
class Version:
    """The workspace at one moment, stored as git objects.

    Attributes:
        commit: HEAD.
        tree: Tree of the tracked files in the working folder, with uncommitted changes.
    """

    commit: str
    tree: str


def record_version(notify: Notify) -> Version:
    """Records the present workspace. All copies of one flow run are of one version.

    Args:
        notify: Receives a line if the call waits for another process.

    Raises:
        FlowError: If the workspace has no commit, or git fails.
    """
    commit = read_head()
    with dvc_locked(notify), TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        shutil.copy(git("rev-parse", "--git-path", "index").strip(), index)
        own = {"GIT_INDEX_FILE": str(index)}
        git("add", "--update", environment=own)
        return Version(commit, git("write-tree", environment=own).strip())


@contextmanager
def temporary_copy(version: Version, folder: Path) -> Iterator[None]:
    """Copies the workspace into a folder, which is removed at the end.

    The copy shares git's objects and DVC's cache with the workspace. It has no untracked files.

    Args:
        version: The version to copy.
        folder: Folder of the copy; must not exist.

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
    """Removes the entries of all other stages from the copy's dvc.lock.

    Otherwise an experiment that ends before these stages would show the baseline's test scores as
    its own.

    Args:
        folder: The copy.
        stages: Names of the stages to keep.
    """
    path = folder / LOCK_FILE
    if path.exists():
        yaml = YAML()  # version 1.2, as in DVC: 1.1 would write a hash like 12e3 as a number
        lock = yaml.load(path)
        for name in [name for name in lock["stages"] if name not in stages]:
            del lock["stages"][name]
        yaml.dump(lock, path)


def _copy(version: Version, folder: Path) -> None:
    """Makes a repository on the workspace's objects and checks the version out."""
    objects, shallow = (
        Path(git("rev-parse", "--git-path", name).strip()).absolute()
        for name in ("objects", "shallow")
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    git("init", "--quiet", str(folder))
    # `git clone --shared` would do the same, but not for a shallow clone.
    (folder / ".git/objects/info/alternates").write_text(f"{objects}\n", encoding="utf-8")
    if shallow.exists():
        shutil.copy(shallow, folder / ".git/shallow")
    git("update-ref", "HEAD", version.commit, folder=folder)
    git("read-tree", "--reset", "-u", version.tree, folder=folder)


def _configure(folder: Path) -> None:
    """Sets the workspace's cache and its local settings."""
    with Repo() as workspace:
        local = workspace.config.read("local")
        cache = workspace.cache.local_cache_dir
    with Config(str(folder / ".dvc"), validate=False).edit("local") as config:
        config.update(local)
        config.setdefault("cache", {})["dir"] = cache
        # DVC's data about files of the copy, removed with the copy.
        config.setdefault("core", {})["site_cache_dir"] = str(folder.absolute() / ".dvc/tmp/site")
    for setting in ("user.name", "user.email"):
        if value := git("config", "--default", "", "--get", setting).strip():
            git("config", setting, value, folder=folder)
