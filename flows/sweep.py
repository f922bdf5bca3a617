"""Flow `sweep`: trains with many values, records them, and names the best on valid."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Annotated, Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, as_completed
from prefect.states import Completed
from pydantic import Field

from flows.errors import FlowError, StageError
from flows.experiments.form import check_values, read_values_at, state_folder
from flows.experiments.names import Reservation, check_name, check_tracked_paths, reserved_name
from flows.experiments.run_experiment import (
    Plan,
    apply_changes,
    flatten,
    name_this_run,
    run_as_task,
)
from flows.experiments.space import Choice, Range, Space, check_space, count_grid
from flows.experiments.study import (
    SamplerName,
    Study,
    Trial,
    describe,
    find_best,
    read_code,
    show_table,
)
from flows.experiments.workspace_copy import Version, git, list_experiments, record_version
from flows.running.children import Children
from flows.running.command import Logger

TARGET = "train"
SELECTED_BY = "valid_mrr"
_IRRELEVANT = ("fetch", "evaluate", "predict")
"""Sections that do not change the valid MRR of a trial."""

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
    """Trains with many values of some parameters and names the best on valid.

    A trial is an experiment that ends with training: a sweep never scores test, so test selects
    nothing. Stages before training that do not depend on the values run once and then come from
    DVC's cache. A sweep that runs again under the same name continues: finished trials are kept,
    interrupted ones run again with their values.

    Args:
        name: Name of the sweep; its trials are the experiments `name-0`, `name-1` and so on.
        space: Keys with a list of values, or with a range of numbers.
        sampler: grid: all combinations; random; tpe: values near the best so far.
        trials: Total number of trials, with those of earlier runs.
        at_once: Number of trials at the same time; they share the processor's cores.
        seed: Seed of the sampler. It determines the values of grid and random; tpe also uses
            earlier results, so its values repeat only with at_once 1.
    """
    check_name(name)
    logger = get_run_logger()
    version = record_version(logger.info)
    base = read_values_at(version.tree)
    check_space(space, base)
    check_tracked_paths(base, logger.info)
    if sampler == "grid":
        trials = min(trials, count_grid(space))
    with reserved_name([name]) as reserved, Children([reserved.lock]) as children:
        name_this_run(name)
        study = Study(state_folder() / "sweeps" / name, space, sampler, seed)
        study.check_plan(_comparable(space, sampler, seed, version, base, logger))
        _check_names(name, study)
        _remove_unrecorded(name, study, base)
        _run_trials(study, trials, at_once, version, reserved, children)
        best = find_best(study.list_trials())
        if best is None:
            raise FlowError(f"no trial of {name} has completed; the table shows the reasons")
        winner = f"{name}-{best.number}"
        result = f"{winner} is the best on valid: MRR {best.valid_mrr:.4f} with {describe(best)}"
        return Completed(message=f"{result}; to keep it, run the flow `promote` with {winner}")


def _comparable(
    space: Space,
    sampler: str,
    seed: int,
    version: Version,
    base: Mapping[str, Any],
    logger: Logger,
) -> dict[str, Any]:
    """Returns the settings that all trials of a sweep must share to be comparable."""
    swept = {dimension.key for dimension in space}
    values = {
        key: value
        for key, value in flatten(base).items()
        if key not in swept and key.partition(".")[0] not in _IRRELEVANT
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
    """Checks that no trial would replace an experiment from outside the sweep.

    Raises:
        FlowError: If such an experiment has the name of a trial.
    """
    known = {f"{name}-{trial.number}" for trial in study.list_trials()}
    for experiment in list_experiments():
        head, _, number = experiment.name.rpartition("-")
        if head == name and number.isdecimal() and experiment.name not in known:
            raise FlowError(
                f"experiment {experiment.name} has a name of this sweep's trials and is none of "
                f"them; give the sweep another name or run `dvc exp remove {experiment.name}`"
            )


def _remove_unrecorded(name: str, study: Study, base: Mapping[str, Any]) -> None:
    """Removes the experiments of trials that ended without a recorded result.

    They run again, from DVC's run-cache. An experiment with other values is not part of the sweep
    and stays.
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
    """Runs `trials` trials, `at_once` at the same time."""
    to_come = _next_trials(study, trials)
    base = read_values_at(version.tree)
    environment = _share_cores(at_once)
    under_way: dict[PrefectFuture[State], tuple[Trial, ExitStack]] = {}
    with ExitStack() as reservations:
        while True:
            while len(under_way) < at_once and (trial := next(to_come, None)):
                if reason := _find_error(trial, base):
                    study.fail(trial.number, reason)
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
            _record(study, trial, future.state)
            reservation.close()


def _next_trials(study: Study, trials: int) -> Iterator[Trial]:
    """Yields interrupted trials, then new ones, `trials` in all."""
    before = study.list_trials()
    yield from (trial for trial in before if trial.status == "running")
    for _ in range(trials - len(before)):
        yield study.ask()


def _find_error(trial: Trial, base: Mapping[str, Any]) -> str:
    """Returns the error of a trial's values, "" if they are valid together."""
    try:
        values = check_values(apply_changes(base, trial.changes), "trial")
        check_tracked_paths(values, get_run_logger().info)
    except FlowError as error:
        return str(error)
    return ""


def _record(study: Study, trial: Trial, state: State) -> None:
    """Records the result of a trial; raises an error that does not depend on its values."""
    result = state.result(raise_on_failure=False)
    if isinstance(result, StageError) and not result.is_temporary:
        study.fail(trial.number, str(result))
    elif isinstance(result, BaseException):
        raise result
    else:
        study.tell(trial.number, result[SELECTED_BY])


def _share_cores(at_once: int) -> dict[str, str]:
    """Returns variables that share the cores among parallel trials."""
    if at_once == 1 or _THREADS in os.environ:
        return {}
    return {_THREADS: str(max(1, (os.cpu_count() or 1) // at_once))}
