"""Flow `sweep`: tries many values, keeps a book of them, and names the best on valid."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Annotated, Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, as_completed
from prefect.states import Completed
from pydantic import Field

from flows.experiments.experiment_tasks import name_this_run, run_as_task
from flows.experiments.form import check_values, read_values_at
from flows.experiments.git import git, list_experiments
from flows.experiments.names import Reservation, check_name, reserved_name
from flows.experiments.reach import check_reach
from flows.experiments.run_experiment import Plan, apply_changes, flatten
from flows.experiments.state import state_folder
from flows.experiments.workspace_copy import Version, record_version
from flows.faults import FlowError, StageError
from flows.processes.children import Children
from flows.processes.command import Logger
from flows.sweeps.code import read_code
from flows.sweeps.space import Choice, Range, Space, check_space, count_grid
from flows.sweeps.study import SamplerName, Study, Trial
from flows.sweeps.sweep_table import describe, find_best, show_table

TARGET = "train"
SELECTED_BY = "valid_mrr"
_OF_NO_MATTER = ("fetch", "evaluate", "predict")
"""Sections that do not change what a trial is selected by."""

_THREADS = "OMP_NUM_THREADS"


@flow(name="sweep", persist_result=False)
def sweep(
    name: str,
    space: list[Choice | Range],
    sampler: SamplerName,
    trials: Annotated[int, Field(ge=1)],
    at_once: Annotated[int, Field(ge=1, le=64)] = 1,
    seed: Annotated[int, Field(ge=0)] = 0,
) -> State:
    """Trains with many values of some parameters and names those that are best on valid.

    A trial is an experiment that ends with training: test is never scored in a sweep, so that
    nothing can be selected by it. All that comes before training and does not depend on the values
    is computed once and comes out of DVC's cache. Run again with the same name, a sweep goes on:
    trials that have ended are kept, one that was interrupted runs again with its values.

    Args:
        name: Of the sweep; its trials are the experiments `name-0`, `name-1` and so on.
        space: What is tried: keys with a list of values, or with a range of numbers.
        sampler: grid: all combinations; random; tpe: drawn towards what was good before.
        trials: How many there are to be in all, those of earlier runs counted.
        at_once: How many run side by side; the processor's cores are shared out among them.
        seed: Of the sampler. The values drawn depend on it alone for grid and random; for tpe on
            the results known by then as well, so that they repeat with at_once 1.
    """
    check_name(name)
    logger = get_run_logger()
    version = record_version(logger.info)
    base = read_values_at(version.tree)
    check_space(space, base)
    check_reach(base, logger.info)
    if sampler == "grid":
        trials = min(trials, count_grid(space))
    with reserved_name([name]) as reserved, Children([reserved.lock]) as children:
        name_this_run(name)
        study = Study(state_folder() / "sweeps" / name, space, sampler, seed)
        study.check_plan(_comparable(space, sampler, seed, version, base, logger))
        _check_names(name, study)
        _remove_unsettled(name, study, base)
        _run_trials(study, trials, at_once, version, reserved, children)
        best = find_best(study.list_trials())
        if best is None:
            raise FlowError(f"no trial of {name} has completed; the table says why")
        winner = f"{name}-{best.number}"
        result = f"{winner} is the best on valid: MRR {best.valid_mrr:.4f} with {describe(best)}"
        return Completed(message=f"{result}; run the flow `promote` with {winner} to have it")


def _comparable(
    space: Space,
    sampler: str,
    seed: int,
    version: Version,
    base: Mapping[str, Any],
    logger: Logger,
) -> dict[str, Any]:
    """Returns what must stay the same in a sweep for its trials to be comparable."""
    swept = {dimension.key for dimension in space}
    values = {
        key: value
        for key, value in flatten(base).items()
        if key not in swept and key.partition(".")[0] not in _OF_NO_MATTER
    }
    dimensions = [dimension.model_dump() for dimension in space]
    return {
        "space": dimensions,
        "sampler": sampler,
        "seed": seed,
        "params.yaml": values,
        "code": read_code(version.tree, TARGET, logger.info),
    }


def _check_names(name: str, study: Study) -> None:
    """Checks that no trial to come would replace an experiment that is none of the sweep's.

    Raises:
        FlowError: If there is one of such a name.
    """
    known = {f"{name}-{trial.number}" for trial in study.list_trials()}
    for experiment in list_experiments():
        head, _, number = experiment.name.rpartition("-")
        if head == name and number.isdecimal() and experiment.name not in known:
            raise FlowError(
                f"experiment {experiment.name} has a name of this sweep's trials and is none of "
                f"them; give the sweep another name or run `dvc exp remove {experiment.name}`"
            )


def _remove_unsettled(name: str, study: Study, base: Mapping[str, Any]) -> None:
    """Removes the experiments of trials that came to their end but not into the book.

    They run again, out of DVC's run-cache. One with other values is none of the sweep's: its name
    is taken then.
    """
    expected = {
        f"{name}-{trial.number}": apply_changes(base, trial.changes)
        for trial in study.list_trials()
        if trial.status == "running"
    }
    for made in list_experiments():
        if made.name in expected and read_values_at(made.commit) == expected[made.name]:
            git("update-ref", "-d", made.ref, made.commit)


def _run_trials(
    study: Study,
    trials: int,
    at_once: int,
    version: Version,
    reserved: Reservation,
    children: Children,
) -> None:
    """Runs trials until there are as many as are wanted, `at_once` at any time."""
    to_come = _next_trials(study, trials)
    base = read_values_at(version.tree)
    environment = _share_cores(at_once)
    under_way: dict[PrefectFuture[State], tuple[Trial, ExitStack]] = {}
    with ExitStack() as reservations:
        while True:
            while len(under_way) < at_once and (trial := next(to_come, None)):
                if fault := _find_fault(trial, base):
                    study.fail(trial.number, fault)
                    continue
                name = f"{reserved.name}-{trial.number}"
                reservation = reservations.enter_context(ExitStack())
                reservation.enter_context(reserved_name([name]))
                plan = Plan(name, version, trial.changes, TARGET)
                future = run_as_task.submit(plan, reserved.folder / name, environment, children)
                under_way[future] = trial, reservation
            show_table(reserved.name, study.list_trials())
            if not under_way:
                return
            future = next(as_completed(list(under_way)))
            future.wait()  # until its final state is known here
            trial, reservation = under_way.pop(future)
            _settle(study, trial, future.state)
            reservation.close()


def _next_trials(study: Study, trials: int) -> Iterator[Trial]:
    """Yields the trials that were interrupted, then new ones up to the number wanted."""
    before = study.list_trials()
    yield from (trial for trial in before if trial.status == "running")
    for _ in range(trials - len(before)):
        yield study.ask()


def _find_fault(trial: Trial, base: Mapping[str, Any]) -> str:
    """Returns why the values of a trial cannot go together, "" where they can."""
    try:
        values = check_values(apply_changes(base, trial.changes), "trial")
        check_reach(values, get_run_logger().info)
    except FlowError as error:
        return str(error)
    return ""


def _settle(study: Study, trial: Trial, state: State) -> None:
    """Writes down how a trial ended; a fault that says nothing about its values is raised."""
    result = state.result(raise_on_failure=False)
    if isinstance(result, StageError) and not result.is_passing:
        study.fail(trial.number, str(result))
    elif isinstance(result, BaseException):
        raise result
    else:
        study.tell(trial.number, result[SELECTED_BY])


def _share_cores(at_once: int) -> dict[str, str]:
    """Returns the variables that keep processes side by side out of each other's way."""
    if at_once == 1 or _THREADS in os.environ:
        return {}
    return {_THREADS: str(max(1, (os.cpu_count() or 1) // at_once))}
