"""Flow `promote`: takes an experiment over into the workspace."""

from pathlib import Path

from prefect import flow, get_run_logger
from prefect.runtime import flow_run

from flows.experiments.git import Experiment, git, list_experiments, read_head
from flows.faults import FlowError
from flows.pages.results_page import read_metrics, show_results
from flows.processes.children import Children
from flows.running.dag import read_dag
from flows.running.lock_file import LOCK_FILE
from flows.running.stage_tasks import run_stages
from flows.running.workspace import locked_workspace


@flow(name="promote", persist_result=False)
def promote(experiment: str) -> None:
    """Brings an experiment's code, values and results into the workspace, to be committed there.

    Stages that the experiment did not get to are run; all else comes out of DVC's cache.

    Args:
        experiment: Its name.
    """
    logger = get_run_logger()
    with (
        locked_workspace(f"promote {flow_run.name}", logger.info) as lock,
        Children([lock]) as children,
    ):
        chosen = find_experiment(experiment)
        check_nothing_is_lost(chosen)
        # `dvc exp apply` would detach HEAD on the way, and fails where not all stages have run.
        before = read_metrics()
        git("restore", f"--source={chosen.commit}", "--worktree", "--", ".")
        run_stages(read_dag(Path.cwd()), children, ())
        show_results(before)
        logger.info("to keep it: `git commit --all --message %s`", chosen.name)


def find_experiment(name: str) -> Experiment:
    """Finds an experiment that stems from what is checked out.

    Raises:
        FlowError: If there is none of this name, or it stems from another commit, whose code
            would take the place of the present one.
    """
    head = read_head()
    experiments = list_experiments()
    of_name = [experiment for experiment in experiments if experiment.name == name]
    for experiment in of_name:
        if experiment.baseline == head:
            return experiment
    if of_name:
        baseline = of_name[0].baseline[:7]
        raise FlowError(
            f"experiment {name} stems from commit {baseline}, but {head[:7]} is checked out, whose "
            f"code it would undo; check out {baseline} first, or run the experiment anew"
        )
    known = ", ".join(e.name for e in experiments if e.baseline == head) or "none"
    raise FlowError(f"there is no experiment {name}; those of the present commit: {known}")


def check_nothing_is_lost(chosen: Experiment) -> None:
    """Checks that no file would be overwritten whose content is nowhere else.

    The experiment's files take the place of those that stand there. A state is somewhere else if it
    is committed or if an experiment has just this one (one that was promoted before, say). The file
    dvc.lock is left out: a run makes it anew.

    Raises:
        FlowError: If something would be lost.
    """
    changed = _changed_files("HEAD")
    if any(not _changed_files(experiment.commit) for experiment in list_experiments()):
        changed = []
    if lost := changed + _untracked_files_of(chosen):
        raise FlowError(
            f"changes that are not committed would be overwritten: {', '.join(lost)}; commit them "
            "(`git commit --all`), put them aside (`git stash`) or undo them (`git checkout FILE`)"
        )


def _changed_files(commit: str) -> list[str]:
    """Lists the tracked files, but for dvc.lock, that differ from those of a commit."""
    changed = git("diff", "--name-only", commit).splitlines()
    return [path for path in changed if path != LOCK_FILE.as_posix()]


def _untracked_files_of(experiment: Experiment) -> list[str]:
    """Lists untracked files, but for dvc.lock, of which the experiment has another content."""
    untracked = git("ls-files", "--others", "--exclude-standard").splitlines()
    return [
        path
        for path in untracked
        if path != LOCK_FILE.as_posix()
        and (theirs := git("ls-tree", "--object-only", experiment.commit, "--", path).strip())
        and theirs != git("hash-object", "--", path).strip()
    ]
