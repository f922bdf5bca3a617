"""Runs git in the project of the working folder."""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flows.faults import FlowError

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
