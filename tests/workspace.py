"""A copy of the project in a separate folder, with small parameters."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

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

    def set_params(self, changes: dict[str, dict[str, object]]) -> None:
        """Writes other values into params.yaml."""
        path = self.folder / "params.yaml"
        params = yaml.safe_load(path.read_text())
        for section, values in changes.items():
            params[section].update(values)
        path.write_text(yaml.safe_dump(params))


def make_workspace(folder: Path, small: bool = True) -> Workspace:
    """Copies the project and makes it a fresh git and DVC repository.

    Args:
        folder: A folder that does not exist yet, or an empty one.
        small: Whether to set small parameters instead of the project's own.
    """
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / name, ignore=ignore)
        else:
            shutil.copy(source, folder / name)
    workspace = Workspace(folder)
    if small:
        workspace.set_params(SMALL)
    workspace.run("git", "init", "-q")
    workspace.dvc("init", "-q")
    shutil.copytree(ROOT / ".dvc/plots", folder / ".dvc/plots")
    workspace.run("git", "add", "-A")
    workspace.run("git", "commit", "-qm", "start")
    return workspace
