"""Experiments as Prefect tasks, as the UI shows them."""

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
from flows.running.attempts import RETRY_DELAYS_SECONDS, attempt, has_temporary_failure
from flows.running.progress import ProgressShown


@task(
    name="experiment",
    task_run_name="{plan.name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=len(RETRY_DELAYS_SECONDS),
    retry_condition_fn=has_temporary_failure,
)
def run_as_task(
    plan: Plan, folder: Path, environment: Mapping[str, str], children: Children
) -> State:
    """Runs one experiment with a reserved name; see `run_experiment`.

    Returns:
        Completed, with the metrics of training as result; Cancelled if the flow run was stopped.
    """

    def run() -> State:
        show = ProgressShown(plan.name).show
        logger = get_run_logger()
        return Completed(data=run_experiment(plan, folder, environment, children, logger, show))

    return attempt(run, children)


def name_this_run(name: str) -> None:
    """Renames the current flow run."""
    with get_client(sync_client=True) as client:
        client.update_flow_run(UUID(str(flow_run.id)), name=name)


def read_form() -> dict[str, dict[str, Any]]:
    """Reads the default values of this flow run's form, by section.

    Returns:
        The values registered with the deployment; empty without a deployment.
    """
    if (deployment_id := deployment.id) is None:
        return {}
    with get_client(sync_client=True) as client:
        parameters = client.read_deployment(UUID(str(deployment_id))).parameters
    return {name: section for name, section in parameters.items() if isinstance(section, dict)}
