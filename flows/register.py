"""Registers the deployments of prefect.yaml: `python -m flows.register`, from the project's root.

Beyond `prefect deploy --all`, it makes missing work pools, keeps the schedules of the UI and fills
the form of experiments with the values of params.yaml. With `--end-leftovers`, at the start of
`imf ui`, it first ends runs that are still `Running` on the server. The process of a run reports
its end to the server. If it was killed, or stopped together with the server, the run would stay
`Running` forever and occupy the slot of its deployment.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import DeploymentSchedule, StateType
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Crashed
from prefect.workers.process import ProcessWorker

from flows.experiments.form import read_values
from flows.ui import HOME, read_address
from imf_core.base.terminal import protect_output

DESCRIPTION = Path("prefect.yaml")
REGISTERED = HOME / "prefect.yaml"
"""The file passed to Prefect: the description with the schedules of the server."""

FORM = "experiment"
"""The deployment with the sections of params.yaml as parameters."""

END_LEFTOVERS = "--end-leftovers"

_SOON_SECONDS = 15.0
_UNDER_WAY = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
_MESSAGE = "`imf ui` ended while this was under way. Start it again."


def main() -> None:
    """Registers all deployments with the server of Prefect's settings, else of `imf ui`."""
    url = PREFECT_API_URL.value() or read_address()
    if url is None:
        sys.exit(
            "error: there is no server to register with: no `imf ui` runs in this folder, and "
            "PREFECT_API_URL is not set; start `imf ui`, or set it to your server's address"
        )
    os.environ["PREFECT_API_URL"] = url
    with temporary_settings({PREFECT_API_URL: url}):
        if END_LEFTOVERS in sys.argv:
            end_leftovers()
        sys.exit(register())


def register() -> int:
    """Registers all deployments with the server of the settings; returns Prefect's exit status."""
    description = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
    deployments = description["deployments"]
    for deployment in deployments:
        if deployment["name"] == FORM:
            deployment["parameters"] |= read_values()
    with get_client(sync_client=True) as client:
        make_pools(client, {deployment["work_pool"]["name"] for deployment in deployments})
        keep_schedules(client, deployments)
        REGISTERED.parent.mkdir(parents=True, exist_ok=True)
        REGISTERED.write_text(yaml.safe_dump(description), encoding="utf-8")
        wait_for_due_runs(client)
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
    deploy = [*prefect, "deploy", "--all", "--prefect-file", str(REGISTERED)]
    return subprocess.run(deploy, check=False).returncode


def end_leftovers() -> None:
    """Ends the leftover runs of a server without a running worker."""
    with get_client(sync_client=True) as client:
        # A server lists a limited number at once.
        while crash_flow_runs(client) or crash_task_runs(client):
            continue


def crash_flow_runs(client: SyncPrefectClient) -> int:
    """Sets active flow runs to Crashed and returns their number."""
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY))
    runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=state))
    for run in runs:
        client.set_flow_run_state(run.id, Crashed(message=_MESSAGE), force=True)
    return len(runs)


def crash_task_runs(client: SyncPrefectClient) -> int:
    """Sets running task runs to Crashed and returns their number.

    Task runs that never started stay unchanged: their flow run has the reason.
    """
    state = TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.RUNNING]))
    runs = client.read_task_runs(task_run_filter=TaskRunFilter(state=state))
    for run in runs:
        client.set_task_run_state(run.id, Crashed(message=_MESSAGE), force=True)
    return len(runs)


def make_pools(client: SyncPrefectClient, names: set[str]) -> None:
    """Makes missing work pools; their runs are processes on the worker's machine."""
    template = ProcessWorker.get_default_base_job_template()
    for name in sorted(names):
        pool = WorkPoolCreate(name=name, type="process", base_job_template=template)
        try:
            client.create_work_pool(pool)
        except ObjectAlreadyExists:
            continue


def keep_schedules(client: SyncPrefectClient, deployments: list[dict[str, Any]]) -> None:
    """Replaces the schedules of a description by those of a server.

    Args:
        client: Client of the server.
        deployments: As in prefect.yaml; changed in place.
    """
    for deployment in deployments:
        registered = read_schedules(client, deployment["name"])
        if registered is not None:
            deployment["schedules"] = registered


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


if __name__ == "__main__":
    protect_output()
    main()
