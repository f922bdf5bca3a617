"""Flow `promote`: copies an experiment into the workspace."""

import os
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.errors import FlowError
from flows.experiments.form import PARAMS_FILE
from flows.experiments.workspace_copy import Experiment, git, list_experiments, read_head
from flows.pages.results_page import read_metrics, show_results
from flows.running.children import Children
from flows.running.stage import read_dag, run_stages
from flows.running.workspace import LOCK_FILE, idle_workspace, locked_workspace


@flow(name="promote", flow_run_name="promote {experiment}", persist_result=False)
def promote(experiment: str) -> State:
    """Copies an experiment's code, values and results into the workspace, ready to commit.

    Stages that the experiment did not reach run now; all other outs come from DVC's cache.

    Args:
        experiment: Name of the experiment.

    Returns:
        Completed, with a summary of the result as message.
    """
    logger = get_run_logger()
    with (
        locked_workspace(str(flow_run.name), logger.info) as lock,
        Children([lock]) as children,
    ):
        chosen = find_experiment(experiment)
        check_nothing_is_lost(chosen)
        # `dvc exp apply` would detach HEAD, and fails if not all stages have run.
        before = read_metrics(logger)
        with idle_workspace(logger.info):
            git("restore", f"--source={chosen.commit}", "--worktree", "--", ".")
        run_stages(read_dag(Path.cwd(), logger.info), children, ())
        result = show_results(before, logger)
        logger.info("to keep it: `git commit --all --message %s`", chosen.name)
        return Completed(message=result)


def find_experiment(name: str) -> Experiment:
    """Finds an experiment that stems from HEAD or from a commit with the same code.

    Raises:
        FlowError: If no experiment has this name, or it stems from a commit with other files, which
            would replace the present ones.
    """
    head = read_head()
    experiments = list_experiments()
    of_name = [experiment for experiment in experiments if experiment.name == name]
    if not of_name:
        known = ", ".join(experiment.name for experiment in experiments) or "none"
        raise FlowError(f"there is no experiment {name}; there are: {known}")
    for experiment in sorted(of_name, key=lambda experiment: experiment.baseline != head):
        undone = _files_that_differ(experiment.baseline, head)
        if not undone:
            return experiment
    raise FlowError(
        f"experiment {name} stems from commit {experiment.baseline[:7]}; since then other files "
        f"were committed, which it would undo: {', '.join(undone)}; run the experiment again"
    )


def _files_that_differ(one: str, other: str) -> list[str]:
    """Lists the files that differ between two commits, without values and results."""
    of_runs = {"", LOCK_FILE.as_posix(), PARAMS_FILE.as_posix()}
    return sorted(set(git("diff", "--name-only", "-z", one, other).split("\0")) - of_runs)


def check_nothing_is_lost(chosen: Experiment) -> None:
    """Checks that the experiment overwrites no uncommitted content.

    Content is safe if it is committed or if some experiment has all of it (one promoted before, for
    example). dvc.lock is not checked: a run writes it again.

    Raises:
        FlowError: If content would be lost.
    """
    changed = set(_changed_files("HEAD")) & set(_changed_files(chosen.commit))
    if any(not _changed_files(experiment.commit) for experiment in list_experiments()):
        changed = set()
    if lost := sorted(changed) + _untracked_files_of(chosen):
        raise FlowError(
            f"changes that are not committed would be overwritten: {', '.join(lost)}; commit them "
            "(`git commit`), or put copies of these files elsewhere"
        )


def _changed_files(commit: str) -> list[str]:
    """Lists the tracked files that differ from those of a commit, without dvc.lock."""
    changed = git("diff", "--name-only", "-z", commit).split("\0")
    return [path for path in changed if path not in ("", LOCK_FILE.as_posix())]


def _untracked_files_of(experiment: Experiment) -> list[str]:
    """Lists untracked files, ignored or not, that the experiment's files would replace.

    Files with the experiment's content and dvc.lock are left out.
    """
    tracked = {LOCK_FILE.as_posix(), *git("ls-files", "-z").split("\0")}
    listed = git("ls-tree", "-r", "-z", experiment.commit).split("\0")
    entries = (entry.split("\t", 1) for entry in listed if entry)
    theirs = {path: entry.split()[2] for entry, path in entries if path not in tracked}
    found = {path: _displaced_by(path) for path in theirs}
    files = [path for path, standing in found.items() if standing == path and _is_file(path)]
    hashes = git("hash-object", "--", *files).split() if files else []
    same = {path for path, ours in zip(files, hashes, strict=True) if ours == theirs[path]}
    return [standing for path, standing in found.items() if standing and path not in same]


def _displaced_by(path: str) -> str | None:
    """Returns the path that a file written to `path` would replace: `path` or one of its parents.

    None if it would replace nothing.
    """
    for folder in reversed(Path(path).parents[:-1]):
        if folder.is_symlink() or folder.is_file():
            return folder.as_posix()
    return path if os.path.lexists(path) else None


def _is_file(path: str) -> bool:
    """Returns whether a path is a regular file."""
    return Path(path).is_file() and not Path(path).is_symlink()
