"""Copies the project into a folder, in which DVC may run, and times commands there."""

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from benchmarks.recipes import ROOT
from imf_core.typed_yaml import read_yaml

COPIED = (
    "imf_core",
    "stages",
    "flows",
    "recipes",
    "measuring",
    "benchmarks",
    "examples",
    "dvc.yaml",
    "params.yaml",
)
IGNORES = (".gitignore", ".dvcignore")


def copy_project(folder: Path, changes: Mapping[str, object]) -> Path:
    """Copies the project into `folder` and makes it a new git and DVC repository.

    Args:
        folder: Folder to create.
        changes: Values to set in params.yaml, by "section.key".

    Returns:
        The folder.
    """
    folder.mkdir(parents=True)
    for name in (*COPIED, *IGNORES):
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    path = folder / "params.yaml"
    params = read_yaml(path.read_text(encoding="utf-8"))
    for dotted, value in changes.items():
        section, key = dotted.split(".")
        params[section][key] = value
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    run(folder, ["git", "init", "-q"])
    run(folder, [sys.executable, "-m", "dvc", "init", "-q"])
    run(folder, ["git", "add", "-A"])
    author = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost"]
    author += ["-c", "commit.gpgsign=false"]
    run(folder, ["git", *author, "commit", "-qm", "start"])
    return folder


def run(folder: Path, command: Sequence[str]) -> str:
    """Runs a command in a folder and returns its stdout.

    Raises:
        RuntimeError: If it fails, with its output.
    """
    # `dvc.yaml` runs `python`, which must be this interpreter.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def time_command(folder: Path, command: Sequence[str], threads: int) -> tuple[float, str]:
    """Runs a command and returns its seconds and stdout.

    With one thread it measures processor time, of all child processes; with several, wall-clock
    time, as in `benchmarks.timing`.
    """

    def now() -> float:
        if threads > 1:
            return time.perf_counter()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    start = now()
    printed = run(folder, command)
    return now() - start, printed
