"""Runs that a server believes to be under way although nobody runs them: `make ui` has ended.

A server learns of a run's end from who runs it. Where that was killed, or stopped together with the
server, the run would stay `Running` for good and hold its deployment's place.
"""

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed

UNDER_WAY = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
MESSAGE = "`make ui` ended while this was under way; nothing of it runs any more. Start it again."


def main() -> None:
    """Ends the leftover runs of a server of which no worker has begun to work yet."""
    with get_client(sync_client=True) as client:
        while crash_leftovers(client):
            continue


def crash_leftovers(client: SyncPrefectClient) -> int:
    """Sets flow runs that seem under way, and their task runs, to Crashed.

    Returns:
        How many flow runs it has found; a server lists a limited number at once.
    """
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=UNDER_WAY))
    runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=state))
    for run in runs:
        tasks = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
        for task in client.read_task_runs(flow_run_filter=tasks):
            if task.state is not None and task.state.type in UNDER_WAY:
                client.set_task_run_state(task.id, Crashed(message=MESSAGE), force=True)
        client.set_flow_run_state(run.id, Crashed(message=MESSAGE), force=True)
    return len(runs)


if __name__ == "__main__":
    main()
