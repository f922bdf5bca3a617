"""Stages of the DAG as Prefect tasks, as the UI shows them."""

from collections.abc import Sequence

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed

from flows.faults import FlowError
from flows.processes.children import Children
from flows.running.attempts import RETRY_DELAYS_SECONDS, attempt, has_temporary_failure
from flows.running.dag import Stage
from flows.running.progress import ProgressShown
from flows.running.stage import reproduce


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
        show = ProgressShown(stage).show
        finished = reproduce(children, stage, is_forced, get_run_logger(), show)
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
