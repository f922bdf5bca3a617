"""Keeps the schedules of a server; `prefect deploy` would reset them to prefect.yaml.

Users change schedules in the UI; prefect.yaml applies only to deployments that are not registered
yet.
"""

import time
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import DeploymentSchedule, StateType
from prefect.exceptions import ObjectNotFound

_SOON_SECONDS = 15.0


def read_schedules(client: SyncPrefectClient, name: str) -> list[dict[str, Any]] | None:
    """Reads the schedules of a deployment, in the form of prefect.yaml.

    Args:
        client: Client of a server, which may have deployments of other projects.
        name: Name of the deployment and of its flow.

    Returns:
        The schedules; None if the server does not know the deployment.
    """
    try:
        deployment = client.read_deployment_by_name(f"{name}/{name}")
    except ObjectNotFound:
        return None
    return [_describe(schedule, number) for number, schedule in enumerate(deployment.schedules, 1)]


def wait_for_due_runs(client: SyncPrefectClient) -> None:
    """Waits for runs that are due in the next seconds.

    Registering a deployment deletes its scheduled runs and schedules them again some seconds later.
    A run due in between would be lost; a late one stays.
    """
    scheduled = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
    runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=scheduled))
    times = [run.next_scheduled_start_time for run in runs]
    waits_seconds = [moment.timestamp() - time.time() for moment in times if moment is not None]
    time.sleep(max((wait for wait in waits_seconds if 0 < wait < _SOON_SECONDS), default=0))


def _describe(schedule: DeploymentSchedule, number: int) -> dict[str, Any]:
    """Returns a schedule in the form of prefect.yaml, with a slug as its identity."""
    return {
        **schedule.schedule.model_dump(mode="json", exclude_none=True),
        "active": schedule.active,
        "slug": schedule.slug or f"kept-{number}",
        "parameters": schedule.parameters,
    }
