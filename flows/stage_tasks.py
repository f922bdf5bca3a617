"""Stages of the DAG as Prefect tasks: what a person sees of them in the UI."""

import re
import time
from collections.abc import Sequence
from typing import cast
from uuid import UUID

from prefect import get_run_logger, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.runtime import task_run
from prefect.states import Cancelled, Completed

from flows.children import Children
from flows.dag import Stage
from flows.faults import FlowError, StageError, StoppedError
from flows.output import Bar
from flows.stage import reproduce

RETRY_DELAYS_SECONDS = [30.0, 120.0, 600.0]
"""Before each further try of a stage that the network failed."""

_SECONDS_BETWEEN_UPDATES = 1.0


class ProgressShown:
    """The progress bar of a task on its page, made when there is something to show."""

    def __init__(self, name: str) -> None:
        """Shows nothing yet.

        Args:
            name: Of what the bar is.
        """
        self._key = f"progress-{re.sub('[^a-z0-9]+', '-', name.lower())}"
        self._artifact: UUID | None = None
        self._last = 0.0

    def show(self, bar: Bar) -> None:
        """Draws the bar, at most once in a while; one that is full always."""
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN_UPDATES and bar.percent < 100:
            return
        self._last = now
        if self._artifact is None:
            made = create_progress_artifact(
                progress=bar.percent, key=self._key, description=bar.label or None
            )
            self._artifact = cast(UUID, made)  # a coroutine in asynchronous code alone
        else:
            update_progress_artifact(
                self._artifact, progress=bar.percent, description=bar.label or None
            )


def has_passing_fault(_task: object, _run: object, state: State) -> bool:
    """Says whether a task has failed for a reason that passes."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, StageError) and error.is_passing


def pause_before_retry(children: Children) -> None:
    """Waits where the task that calls it has failed before; Prefect's delay cannot be interrupted.

    Raises:
        StoppedError: If the flow run is being stopped.
    """
    earlier_tries = task_run.run_count - 1
    if earlier_tries > 0:
        delay_seconds = RETRY_DELAYS_SECONDS[earlier_tries - 1]
        get_run_logger().info("the network failed; trying again in %g s", delay_seconds)
        children.pause(delay_seconds)


@task(
    name="stage",
    task_run_name="{stage}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=len(RETRY_DELAYS_SECONDS),
    retry_condition_fn=has_passing_fault,
)
def run_stage(stage: str, children: Children, is_forced: bool) -> State:
    """Brings one stage up to date.

    Returns:
        A state named Completed, Cached or Restored, with the hashes of the outs as message; or
        Cancelled where the flow run was stopped meanwhile.
    """
    show = ProgressShown(stage).show
    try:
        pause_before_retry(children)
        finished = reproduce(children, stage, is_forced, get_run_logger(), show)
    except StoppedError as error:
        return Cancelled(message=str(error))
    return Completed(name=finished.outcome, message=finished.describe())


def run_stages(stages: Sequence[Stage], children: Children, forced: Sequence[str]) -> list[State]:
    """Runs stages of the DAG as tasks, each after those that it needs, independent ones together.

    Args:
        stages: In an order in which each comes after those that it needs.
        children: The flow run's processes.
        forced: Names of stages that run although nothing has changed.

    Returns:
        The state of each stage.

    Raises:
        FlowError: If `forced` names what is no stage; or the first fault of a stage, after all
            that did not need it have ended.
    """
    names = [stage.name for stage in stages]
    if unknown := sorted(set(forced) - set(names)):
        raise FlowError(f"force names no stage: {', '.join(unknown)}; dvc.yaml has {names}")
    futures: dict[str, PrefectFuture[State]] = {}
    for stage in stages:
        upstream = [futures[name] for name in stage.needs]
        futures[stage.name] = run_stage.submit(
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
