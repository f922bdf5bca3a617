"""A copy of the project in a separate folder, with small parameters."""

import contextlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
import yaml
from dvc.repo import Repo
from filelock import FileLock

ROOT = Path(__file__).parents[1]
COPIED = (
    "imf_core",
    "stages",
    "flows",
    "recipes",
    "cli",
    "examples",
    "dvc.yaml",
    "params.yaml",
    "prefect.yaml",
    "decisions.jsonl",
    ".gitattributes",
    ".gitignore",
    ".dvcignore",
)
SMALL = {
    "dataset": {"name": "folder"},
    "model": {"modalities": ["structure", "image", "text"], "dim": 16, "hidden_dim": 16},
    "fusion": {"rank": 3},
    "tune": {"trials": 2},
    "train": {"epochs": 4, "validate_every": 2, "device": "cpu"},
    "evaluate": {"device": "cpu"},
    "predict": {"top_k": 20, "device": "cpu"},
}


class Workspace:
    """A DVC project in a separate folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "DO_NOT_TRACK": "1",
            "DVC_NO_ANALYTICS": "1",
            "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "GIT_AUTHOR_NAME": "test",
            "GIT_AUTHOR_EMAIL": "test@localhost",
            "GIT_COMMITTER_NAME": "test",
            "GIT_COMMITTER_EMAIL": "test@localhost",
        }

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command in the workspace."""
        result = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or result.returncode == 0, result.stdout + result.stderr
        return result

    def dvc(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs DVC in the workspace."""
        return self.run(sys.executable, "-m", "dvc", *arguments, check=check)

    def stage(self, name: str) -> str:
        """Runs a stage in this process, which has imported its libraries; returns its output.

        One thread computes, so that the bytes are those of a stage in a process of its own.
        """
        modality = name.removesuffix("_features")
        is_features = modality != name
        stage = import_module("stages.features" if is_features else f"stages.{name}")
        arguments = [f"stages/{name}.py", *([modality] if is_features else [])]
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with (
                contextlib.chdir(self.folder),
                patch.dict(os.environ, self.environment, clear=True),
                patch.object(sys, "argv", arguments),
                contextlib.redirect_stdout(io.StringIO()) as output,
            ):
                stage.main()
        finally:
            torch.set_num_threads(threads)
        return output.getvalue()

    def set_params(self, changes: dict[str, dict[str, object]]) -> None:
        """Writes other values into params.yaml."""
        path = self.folder / "params.yaml"
        params = yaml.safe_load(path.read_text())
        for section, values in changes.items():
            params[section].update(values)
        path.write_text(yaml.safe_dump(params))

    def copy_to(self, folder: Path) -> "Workspace":
        """Copies the workspace, git and DVC's cache included, into a folder that does not exist."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Workspace(folder)

    def replay(self, finished: "Workspace", *stages: str) -> None:
        """Replaces stages by scripts that copy their outs from a finished workspace."""
        described = yaml.safe_load((self.folder / "dvc.yaml").read_text())["stages"]
        for stage in stages:
            outs = [*described[stage]["outs"], *described[stage].get("metrics", [])]
            copies = {str(finished.folder / out): out for out in outs}
            (self.folder / f"stages/{stage}.py").write_text(f"COPIES = {copies}\n{REPLAY}")


REPLAY = """
import shutil
from pathlib import Path

for source, target in COPIES.items():
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if Path(source).is_dir() else shutil.copyfile)(source, target)
"""


def make_workspace(folder: Path, small: bool = True) -> Workspace:
    """Copies the project and makes it a fresh git and DVC repository.

    Args:
        folder: A folder that does not exist yet, or an empty one.
        small: Whether to set small parameters instead of the project's own.
    """
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name)  # with the compiled code, which stays valid
        else:
            shutil.copy(source, folder / name)
    workspace = Workspace(folder)
    if small:
        workspace.set_params(SMALL)
    workspace.run("git", "init", "-q")
    Repo.init(str(folder)).close()
    shutil.copytree(ROOT / ".dvc/plots", folder / ".dvc/plots")
    workspace.run("git", "add", "-A")
    workspace.run("git", "commit", "-qm", "start")
    return workspace


def built_once(
    tmp_path_factory: pytest.TempPathFactory, name: str, build: Callable[[Path], None]
) -> Path:
    """Returns a folder that the first worker of pytest-xdist builds, while the others wait.

    Args:
        tmp_path_factory: Pytest's fixture.
        name: Name of the folder.
        build: Fills the folder, which does not exist yet.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # the folder of the worker, in that of the run
        root = root.parent
    folder, is_built = root / name, root / f"{name}.built"
    with FileLock(root / f"{name}.lock"):
        if not is_built.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
            build(folder)
            is_built.touch()
    return folder
