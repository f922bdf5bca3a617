"""The DAG as DVC reads it, and its stages as Prefect tasks with progress bars and attempts.

`dvc.yaml` is the only description of the DAG. Prefect counts the attempts; the pause before each is
taken here, since Prefect's own cannot be interrupted.
"""

import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast
from uuid import UUID

import httpx
from dvc.exceptions import DvcException
from dvc.stage import PipelineStage
from prefect import get_run_logger, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.runtime import task_run
from prefect.states import Cancelled, Completed

from flows.errors import FlowError, StageError, StoppedError
from flows.running.children import Children
from flows.running.command import Bar, Logger, run_dvc, warning_in
from flows.running.workspace import (
    LOCK_FILE,
    Notify,
    dvc_locked,
    find_runner,
    keep_lock_file,
    read_lock_file,
    restore_command,
)
from imf_core.base.yaml_text import read_yaml

_PIPELINE = Path(__file__).parents[2] / "dvc.yaml"
if TYPE_CHECKING:
    StageName = str
else:
    StageName = Literal[tuple(read_yaml(_PIPELINE.read_text())["stages"])]
"""The stages of dvc.yaml, as options of a form."""


@dataclass(frozen=True)
class Stage:
    """A stage of `dvc.yaml`.

    Attributes:
        name: Its name.
        needs: Sorted names of the stages that make its inputs.
        outs: Paths of its outs, metrics and plots, relative to the project's root.
    """

    name: str
    needs: tuple[str, ...]
    outs: tuple[str, ...]


def read_dag(root: Path, notify: Notify) -> list[Stage]:
    """Reads the stages of a DVC project in topological order.

    Args:
        root: Root of the project.
        notify: Receives a line if the call waits for another process.

    Raises:
        FlowError: If there is no DVC project, or DVC refuses its dvc.yaml or params.yaml.
    """
    try:
        with dvc_locked(notify, root) as repo:
            graph = repo.index.graph  # edges lead from a stage to the stages that it needs
            stages = [
                Stage(
                    str(stage.name),
                    tuple(sorted(str(needed.name) for needed in graph[stage] if _is_run(needed))),
                    tuple(out.def_path for out in stage.outs),
                )
                for stage in graph
                if _is_run(stage)
            ]
    except DvcException as error:
        raise FlowError(
            f"DVC cannot read the pipeline in {root}: {error}; run `dvc status` there to see where"
        ) from error

    by_name = {stage.name: stage for stage in sorted(stages, key=lambda stage: stage.name)}
    order = TopologicalSorter({name: stage.needs for name, stage in by_name.items()})
    return [by_name[name] for name in order.static_order()]


def _is_run(stage: object) -> bool:
    """Returns whether a node of DVC's graph is a stage rather than data under `dvc add`."""
    return isinstance(stage, PipelineStage)


def needed_by(name: str, stages: Sequence[Stage]) -> set[str]:
    """Returns the names of a stage and of all stages that must run before it.

    Args:
        name: Name of the stage.
        stages: All stages in topological order.
    """
    names = {name}
    for stage in reversed(stages):
        if stage.name in names:
            names.update(stage.needs)
    return names


RETRY_DELAYS_SECONDS = [30.0, 120.0, 600.0]
"""Pauses before each retry after a network error."""


def has_temporary_failure(_task: object, _run: object, state: State) -> bool:
    """Returns whether a task has failed for a temporary reason."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, StageError) and error.is_temporary


def attempt(work: Callable[[], State], children: Children) -> State:
    """Does the work of a task, after a pause before a retry.

    Args:
        work: Returns the task's state.
        children: The flow run's processes.

    Returns:
        The state that `work` returns; Cancelled if the flow run was stopped.
    """
    try:
        if (earlier_tries := task_run.run_count - 1) > 0:
            delay_seconds = RETRY_DELAYS_SECONDS[earlier_tries - 1]
            get_run_logger().info("the network failed; trying again in %g s", delay_seconds)
            children.pause(delay_seconds)
        return work()
    except StoppedError as error:
        return Cancelled(message=str(error))


_SECONDS_BETWEEN_UPDATES = 1.0


class ProgressShown:
    """The progress bar of a task on its page, made at the first update."""

    def __init__(self, name: str) -> None:
        """Shows nothing yet.

        Args:
            name: Name of the task.
        """
        self._key = f"progress-{re.sub('[^a-z0-9]+', '-', name.lower())}"
        self._artifact: UUID | None = None
        self._bar: Bar | None = None
        self._last = 0.0

    def show(self, bar: Bar) -> None:
        """Draws the bar, at most once per second; a full bar is always drawn."""
        self._bar = bar
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN_UPDATES and bar.percent < 100:
            return
        self._last = now
        # An unreachable server must not fail the stage.
        with suppress(httpx.HTTPError):
            self._draw(bar)

    def finish(self) -> None:
        """Fills the bar of work that ended early, such as a training without further gain."""
        if self._bar is not None and self._bar.percent < 100:
            self.show(replace(self._bar, percent=100))

    def _draw(self, bar: Bar) -> None:
        if self._artifact is None:
            made = create_progress_artifact(bar.percent, key=self._key, description=bar.label)
            self._artifact = cast(UUID, made)  # a coroutine only in asynchronous code
        else:
            update_progress_artifact(self._artifact, bar.percent, description=bar.label)


Outcome = Literal["Completed", "Cached", "Restored"]
"""The stage ran; nothing had changed; or its outs came from DVC's run-cache."""

SHOWN_DIGITS = 8


@dataclass(frozen=True)
class Finished:
    """The result of a stage.

    Attributes:
        outcome: The origin of its outs.
        hashes: MD5 of each out by its path, as in dvc.lock.
        warnings: Its warnings in this run.
    """

    outcome: Outcome
    hashes: dict[str, str]
    warnings: tuple[str, ...] = ()

    def describe(self) -> str:
        """Returns the outs with the first digits of their hashes, on one line."""
        return ", ".join(f"{path} {md5[:SHOWN_DIGITS]}" for path, md5 in self.hashes.items())


def reproduce(
    children: Children,
    stage: str,
    is_forced: bool,
    logger: Logger,
    show: Callable[[Bar], None],
) -> Finished:
    """Brings one stage up to date with DVC; the stages before it must be up to date.

    After an error the outs are those of the previous run, so no partial out stays.

    Args:
        children: The flow run's processes.
        stage: Name of the stage in dvc.yaml.
        is_forced: Whether it runs even if nothing has changed.
        logger: Receives the lines of the stage.
        show: Receives the states of the stage's progress bars.

    Raises:
        StageError: If the stage failed.
        StoppedError: If the flow run was stopped.
    """
    if not is_forced and is_unchanged(stage, logger.info):
        return Finished("Cached", read_hashes(stage, logger.info))
    keep_lock_file(stage, logger.info)
    command = ["repro", "--single-item", *["--force"] * is_forced, stage]
    output = run_dvc(children, stage, command, restore_command(stage), {}, logger, show)
    warnings = tuple(f"{stage}: {text}" for text in map(warning_in, output) if text)
    return Finished(_outcome(stage, output), read_hashes(stage, logger.info), warnings)


def is_unchanged(stage: str, notify: Notify) -> bool:
    """Returns whether DVC would skip a stage, which spares the start of a DVC process.

    False if that is open: another DVC process runs a stage, or DVC refuses a file. The process that
    follows waits for the other one, or reports the error.

    Args:
        stage: Name of the stage.
        notify: Receives a line if the call waits for another process.
    """
    try:
        with dvc_locked(notify) as repo:
            return not find_runner() and not repo.stage.load_one(name=stage).changed()
    except DvcException:
        return False


def read_hashes(stage: str, notify: Notify) -> dict[str, str]:
    """Reads the MD5 of each out of a stage from dvc.lock; empty if it has never run.

    Args:
        stage: Name of the stage.
        notify: Receives a line if the call waits for another process.
    """
    with dvc_locked(notify):
        locked = read_lock_file(LOCK_FILE)
    return {out["path"]: out["md5"] for out in locked.get(stage, {}).get("outs", [])}


def _outcome(stage: str, output: list[str]) -> Outcome:
    """Reads the outcome from DVC's output."""
    if any(line.startswith(f"Stage '{stage}' is cached") for line in output):
        return "Restored"
    if any(line.startswith(f"Stage '{stage}' didn't change") for line in output):
        return "Cached"
    return "Completed"


@task(
    name="stage",
    task_run_name="{stage}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=len(RETRY_DELAYS_SECONDS),
    retry_condition_fn=has_temporary_failure,
)
def run_stage(stage: str, children: Children, is_forced: bool) -> State:
    """Brings one stage up to date.

    Returns:
        A state named Completed, Cached or Restored, with the hashes of the outs as message and the
        `Finished` as result; Cancelled if the flow run was stopped.
    """

    def bring_up_to_date() -> State:
        progress = ProgressShown(stage)
        finished = reproduce(children, stage, is_forced, get_run_logger(), progress.show)
        progress.finish()
        return Completed(name=finished.outcome, message=finished.describe(), data=finished)

    return attempt(bring_up_to_date, children)


def run_stages(stages: Sequence[Stage], children: Children, forced: Sequence[str]) -> list[State]:
    """Runs stages of the DAG as tasks, independent ones in parallel.

    Args:
        stages: The stages in topological order.
        children: The flow run's processes.
        forced: Names of stages that run even if nothing has changed.

    Returns:
        The state of each stage.

    Raises:
        FlowError: If `forced` has an unknown name; or the first error of a stage, after all
            independent stages have ended.
    """
    names = [stage.name for stage in stages]
    if unknown := sorted(set(forced) - set(names)):
        raise FlowError(f"force names no stage: {', '.join(unknown)}; dvc.yaml has {names}")
    futures: dict[str, PrefectFuture[State]] = {}
    for stage in stages:
        upstream = [futures[name] for name in stage.needs]
        named = run_stage.with_options(name=stage.name)  # the name shown before the start
        futures[stage.name] = named.submit(
            stage.name, children, stage.name in forced, return_state=False, wait_for=upstream
        )
    states = []
    for future in futures.values():
        future.wait()
        states.append(future.state)
    for state in states:
        if state.is_failed():
            state.result()
    return states
