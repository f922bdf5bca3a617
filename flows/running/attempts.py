"""Retries a task after a temporary failure, and ends it when its flow run is stopped.

Prefect counts the tries; the pause is here, because Prefect's pause cannot be interrupted.
"""

from collections.abc import Callable

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import task_run
from prefect.states import Cancelled

from flows.faults import StageError, StoppedError
from flows.processes.children import Children

RETRY_DELAYS_SECONDS = [30.0, 120.0, 600.0]
"""Pauses before each retry after a network error."""


def has_temporary_failure(_task: object, _run: object, state: State) -> bool:
    """Returns whether a task has failed for a temporary reason."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, StageError) and error.is_temporary


def attempt(work: Callable[[], State], children: Children) -> State:
    """Does the work of a task, after a pause before a retry.

    Args:
        work: Returns the task's state.
        children: The flow run's processes.

    Returns:
        The state that `work` returns; Cancelled if the flow run was stopped.
    """
    try:
        if (earlier_tries := task_run.run_count - 1) > 0:
            delay_seconds = RETRY_DELAYS_SECONDS[earlier_tries - 1]
            get_run_logger().info("the network failed; trying again in %g s", delay_seconds)
            children.pause(delay_seconds)
        return work()
    except StoppedError as error:
        return Cancelled(message=str(error))
