"""Experiments as Prefect tasks: what a person sees of them in the UI."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import get_client, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import deployment, flow_run
from prefect.states import Completed

from flows.experiments.run_experiment import Plan, run_experiment
from flows.processes.children import Children
from flows.running.attempts import RETRY_DELAYS_SECONDS, attempt, has_passing_fault
from flows.running.progress import ProgressShown


@task(
    name="experiment",
    task_run_name="{plan.name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=len(RETRY_DELAYS_SECONDS),
    retry_condition_fn=has_passing_fault,
)
def run_as_task(
    plan: Plan, folder: Path, environment: Mapping[str, str], children: Children
) -> State:
    """Runs one experiment, whose name must be reserved; see `run_experiment`.

    Returns:
        Completed, with the metrics of training as result; or Cancelled where the flow run was
        stopped meanwhile.
    """

    def run() -> State:
        show = ProgressShown(plan.name).show
        logger = get_run_logger()
        return Completed(data=run_experiment(plan, folder, environment, children, logger, show))

    return attempt(run, children)


def name_this_run(name: str) -> None:
    """Gives the flow run in which this is called the name of what it makes."""
    with get_client(sync_client=True) as client:
        client.update_flow_run(UUID(str(flow_run.id)), name=name)


def read_form() -> dict[str, dict[str, Any]]:
    """Reads the sections of parameters with which the form of this flow run began.

    Returns:
        Those that were registered with the deployment; empty where there is none.
    """
    if (deployment_id := deployment.id) is None:
        return {}
    with get_client(sync_client=True) as client:
        parameters = client.read_deployment(UUID(str(deployment_id))).parameters
    return {name: section for name, section in parameters.items() if isinstance(section, dict)}
