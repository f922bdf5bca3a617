"""The schedules that a server has: `prefect deploy` would set them back to those of prefect.yaml.

Whether and when a deployment runs by itself is switched in the UI; prefect.yaml says how a
deployment begins, and nothing about one that is registered already.
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
        client: Of a server, which may have deployments of other projects.
        name: Of the deployment, and of its flow: here both have one name.

    Returns:
        None if the server does not know the deployment.
    """
    try:
        deployment = client.read_deployment_by_name(f"{name}/{name}")
    except ObjectNotFound:
        return None
    return [_describe(schedule, number) for number, schedule in enumerate(deployment.schedules, 1)]


def wait_for_due_runs(client: SyncPrefectClient) -> None:
    """Lets the next seconds pass if a run is due in them.

    Registering a deployment deletes the runs that its schedules have planned, for them to be
    planned again a few seconds later. One due in between would be lost; one that is late stays.
    """
    scheduled = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
    runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=scheduled))
    times = [run.next_scheduled_start_time for run in runs]
    waits_seconds = [moment.timestamp() - time.time() for moment in times if moment is not None]
    time.sleep(max((wait for wait in waits_seconds if 0 < wait < _SOON_SECONDS), default=0))


def _describe(schedule: DeploymentSchedule, number: int) -> dict[str, Any]:
    """Returns one schedule as prefect.yaml would have it, with a slug, by which it is known."""
    return {
        **schedule.schedule.model_dump(mode="json", exclude_none=True),
        "active": schedule.active,
        "slug": schedule.slug or f"kept-{number}",
        "parameters": schedule.parameters,
    }
