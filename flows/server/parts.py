"""The processes and schedules of `imf ui`. Each process has a log; if one ends, all end.

Schedules are switched in the UI; `prefect deploy` would reset them to those of prefect.yaml, so a
registered deployment keeps its own.
"""

import queue
import threading
import time
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import DeploymentSchedule, StateType
from prefect.exceptions import ObjectNotFound

from flows.errors import FlowError
from flows.processes.children import Child, Children

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


_LAST_LINES = 15
_LARGEST_LOG_BYTES = 10_000_000


class Part:
    """A process with a log file."""

    def __init__(
        self, name: str, child: Child, log: Path, ended: "queue.SimpleQueue[Part]"
    ) -> None:
        """Logs the output of `child`, and puts itself into `ended` at its end."""
        self._name = name
        self._child = child
        self._log = log
        self._ended = ended
        self._last = deque[str](maxlen=_LAST_LINES)
        threading.Thread(target=self._follow, daemon=True).start()

    def has_failed(self) -> bool:
        """Waits for the end and returns whether it ended with an error."""
        return self._child.wait() != 0

    def stop(self) -> None:
        """Stops the process and waits for its end."""
        self._child.stop()
        self._child.wait()

    def describe_end(self) -> str:
        """Formats its exit status and its last lines."""
        last = "".join(f"\n  {line}" for line in self._last)
        return f"{self._name} ended with status {self._child.wait()}; {self._log} ends with:{last}"

    def _follow(self) -> None:
        try:
            with self._child as child, _open_log(self._log) as log:
                for line in child.lines():
                    self._last.append(line)
                    print(line, file=log, flush=True)
        except OSError as error:  # this error has stopped the child
            self._last.append(f"{self._log} cannot be written: {error}")
        finally:
            self._ended.put(self)


def _open_log(path: Path) -> TextIO:
    """Opens a log for appending; a large one becomes `NAME.log.1` first."""
    if path.exists() and path.stat().st_size > _LARGEST_LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    log = path.open("a", encoding="utf-8")
    print(f"--- {datetime.now().astimezone():%Y-%m-%d %H:%M:%S}", file=log, flush=True)
    return log


class Parts:
    """Processes started one after another."""

    def __init__(self, children: Children, logs: Path) -> None:
        """Starts without processes; `logs` is the folder of the log files."""
        self._children = children
        self._logs = logs
        self._running: list[Part] = []
        self._ended: queue.SimpleQueue[Part] = queue.SimpleQueue()

    def start(self, name: str, command: list[str]) -> None:
        """Starts a process that runs until `stop`."""
        self._running.append(self._follow(name, command))

    def run(self, name: str, command: list[str]) -> None:
        """Runs a process to its end.

        Raises:
            FlowError: If it fails, or another process ends before it.
        """
        part = self._follow(name, command)
        ended = self._ended.get()
        if ended is not part or part.has_failed():
            raise FlowError(ended.describe_end())

    def watch(self, seconds: float | None = None) -> None:
        """Waits for the end of any process, at most `seconds`.

        Raises:
            FlowError: If one has ended.
        """
        try:
            ended = self._ended.get(timeout=seconds)
        except queue.Empty:
            return
        raise FlowError(ended.describe_end())

    def stop(self) -> None:
        """Stops all, the last first, so that the server still receives the worker's reports."""
        for part in reversed(self._running):
            part.stop()

    def _follow(self, name: str, command: list[str]) -> Part:
        return Part(name, self._children.start(command), self._logs / f"{name}.log", self._ended)
