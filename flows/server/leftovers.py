"""Ends runs that are still `Running` on the server after `imf ui` has ended.

The process of a run reports its end to the server. If it was killed, or stopped together with the
server, the run would stay `Running` forever and occupy the slot of its deployment.
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
_MESSAGE = "`imf ui` ended while this was under way. Start it again."


def main() -> None:
    """Ends the leftover runs of a server without a running worker."""
    with get_client(sync_client=True) as client:
        while crash_flow_runs(client) or crash_task_runs(
            client
        ):  # a server lists a limited number at once
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


if __name__ == "__main__":
    main()
