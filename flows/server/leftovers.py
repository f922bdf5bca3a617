"""Runs that a server believes to be under way although nobody runs them: `make ui` has ended.

A server learns of a run's end from who runs it. Where that was killed, or stopped together with the
server, the run would stay `Running` for good and hold its deployment's place.
"""

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed

_UNDER_WAY = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
_MESSAGE = "`make ui` ended while this was under way. Start it again."


def main() -> None:
    """Ends the leftover runs of a server of which no worker has begun to work yet."""
    with get_client(sync_client=True) as client:
        while crash_flow_runs(client) or crash_task_runs(client):  # a server lists so many at once
            continue


def crash_flow_runs(client: SyncPrefectClient) -> int:
    """Sets flow runs that seem under way to Crashed; returns how many it has found."""
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY))
    runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=state))
    for run in runs:
        client.set_flow_run_state(run.id, Crashed(message=_MESSAGE), force=True)
    return len(runs)


def crash_task_runs(client: SyncPrefectClient) -> int:
    """Sets task runs that seem to run to Crashed; returns how many it has found.

    Those that never began stay as they are: their flow run says why.
    """
    state = TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.RUNNING]))
    runs = client.read_task_runs(task_run_filter=TaskRunFilter(state=state))
    for run in runs:
        client.set_task_run_state(run.id, Crashed(message=_MESSAGE), force=True)
    return len(runs)


if __name__ == "__main__":
    main()
