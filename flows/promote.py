"""Flow `promote`: takes an experiment over into the workspace."""

import os
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.experiments.form import PARAMS_FILE
from flows.experiments.git import Experiment, git, list_experiments, read_head
from flows.faults import FlowError
from flows.pages.results_page import read_metrics, show_results
from flows.processes.children import Children
from flows.running.dag import read_dag
from flows.running.lock_file import LOCK_FILE, quiet_workspace
from flows.running.stage_tasks import run_stages
from flows.running.workspace import locked_workspace


@flow(name="promote", flow_run_name="promote {experiment}", persist_result=False)
def promote(experiment: str) -> State:
    """Brings an experiment's code, values and results into the workspace, to be committed there.

    Stages that the experiment did not get to are run; all else comes out of DVC's cache.

    Args:
        experiment: Its name.

    Returns:
        Completed, with the result in a few words as message.
    """
    logger = get_run_logger()
    with (
        locked_workspace(str(flow_run.name), logger.info) as lock,
        Children([lock]) as children,
    ):
        chosen = find_experiment(experiment)
        check_nothing_is_lost(chosen)
        # `dvc exp apply` would detach HEAD on the way, and fails where not all stages have run.
        before = read_metrics(logger)
        with quiet_workspace(logger.info):
            git("restore", f"--source={chosen.commit}", "--worktree", "--", ".")
        run_stages(read_dag(Path.cwd(), logger.info), children, ())
        result = show_results(before, logger)
        logger.info("to keep it: `git commit --all --message %s`", chosen.name)
        return Completed(message=result)


def find_experiment(name: str) -> Experiment:
    """Finds an experiment that stems from what is checked out, or from a commit with its code.

    Raises:
        FlowError: If there is none of this name, or it stems from a commit with other files, which
            would take the place of the present ones.
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
    """Lists what two commits have different, but for values and results."""
    of_runs = {"", LOCK_FILE.as_posix(), PARAMS_FILE.as_posix()}
    return sorted(set(git("diff", "--name-only", "-z", one, other).split("\0")) - of_runs)


def check_nothing_is_lost(chosen: Experiment) -> None:
    """Checks that no file would be overwritten whose content is nowhere else.

    The experiment's files take the place of those that stand there. A state is somewhere else if it
    is committed or if an experiment has just this one (one that was promoted before, say). The file
    dvc.lock is left out: a run writes it again.

    Raises:
        FlowError: If something would be lost.
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
    """Lists the tracked files, but for dvc.lock, that differ from those of a commit."""
    changed = git("diff", "--name-only", "-z", commit).split("\0")
    return [path for path in changed if path not in ("", LOCK_FILE.as_posix())]


def _untracked_files_of(experiment: Experiment) -> list[str]:
    """Lists what git does not track, ignored or not, and the experiment's files would displace.

    Files that have the experiment's content are left out, and dvc.lock.
    """
    tracked = {LOCK_FILE.as_posix(), *git("ls-files", "-z").split("\0")}
    listed = git("ls-tree", "-r", "-z", experiment.commit).split("\0")
    entries = (entry.split("\t", 1) for entry in listed if entry)
    theirs = {path: entry.split()[2] for entry, path in entries if path not in tracked}
    found = {path: _standing_at(path) for path in theirs}
    files = [path for path, standing in found.items() if standing == path and _is_file(path)]
    hashes = git("hash-object", "--", *files).split() if files else []
    same = {path for path, ours in zip(files, hashes, strict=True) if ours == theirs[path]}
    return [standing for path, standing in found.items() if standing and path not in same]


def _standing_at(path: str) -> str | None:
    """Returns what would go if a file came to be at a path: what is there, or in a folder's place.

    None where there is nothing.
    """
    for folder in reversed(Path(path).parents[:-1]):
        if folder.is_symlink() or folder.is_file():
            return folder.as_posix()
    return path if os.path.lexists(path) else None


def _is_file(path: str) -> bool:
    """Says whether git would find a file's content there."""
    return Path(path).is_file() and not Path(path).is_symlink()
