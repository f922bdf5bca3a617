"""`imf ui` in a workspace, and the actions of a user through the server's API."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

import psutil
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.responses import DeploymentResponse
from prefect.states import Cancelling
from workspace import Workspace

ResultT = TypeVar("ResultT")

LONGEST_WAIT_SECONDS = 300.0
"""Not a speed limit: after this time the test has failed."""


def wait_until(look: Callable[[], ResultT]) -> ResultT:
    """Waits for a value; fails after a time limit."""
    end = time.monotonic() + LONGEST_WAIT_SECONDS
    while not (seen := look()):
        assert time.monotonic() < end, (
            f"{look.__qualname__} gave {seen!r} for {LONGEST_WAIT_SECONDS:.0f} seconds"
        )
        time.sleep(0.1)
    return seen


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RunningUI:
    """`imf ui` in a workspace, with its server, worker and runs."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = SyncPrefectClient(f"{self.url}/api")
        self.client.__enter__()
        self.starts = 0
        self.start()

    def register(self) -> None:
        """Registers the deployments again, with the present values of params.yaml."""
        environment = {
            **self.workspace.environment,
            "PREFECT_API_URL": f"{self.url}/api",
            "PREFECT_HOME": str(self.workspace.folder / ".imf/prefect"),
        }
        command = [sys.executable, "-m", "flows.register"]
        subprocess.run(
            command, cwd=self.workspace.folder, env=environment, check=True, capture_output=True
        )

    def start(self) -> None:
        self.starts += 1
        command = [sys.executable, "-m", "cli", "ui", "--port", str(self.port)]
        self._process = subprocess.Popen(
            command, cwd=self.workspace.folder, env=self.workspace.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if "Ctrl-C" in line:
                return
        raise AssertionError("".join(said))

    def end(self, number: signal.Signals) -> int:
        """Sends a signal only to the process that the user started."""
        self._process.send_signal(number)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return self._process.wait()

    def close(self) -> None:
        self.end(signal.SIGTERM)
        self.client.__exit__(None, None, None)

    def processes(self) -> list[psutil.Process]:
        """Lists all processes in the workspace."""
        folder = str(self.workspace.folder.resolve())
        return [process for process in psutil.process_iter() if _works_in(folder, process)]

    def stage_processes(self) -> list[psutil.Process]:
        return [process for process in self.processes() if _has(process, "stages.", "dvc")]

    def has_process(self, words: str) -> bool:
        """Returns whether a process with these words in its command line runs in the workspace."""
        return any(_has(process, words) for process in self.processes())

    def flow_run_process(self) -> psutil.Process:
        (process,) = [process for process in self.processes() if _has(process, "prefect.engine")]
        return process

    def deployment(self, name: str) -> DeploymentResponse:
        return self.client.read_deployment_by_name(f"{name}/{name}")

    def trigger(self, name: str) -> UUID:
        return self.client.create_flow_run_from_deployment(self.deployment(name).id).id

    def state(self, run: UUID) -> State:
        state = self.client.read_flow_run(run).state
        assert state is not None
        return state

    def final_state(self, run: UUID) -> State:
        wait_until(lambda: self.state(run).is_final())
        return self.state(run)

    def planned_runs(self, deployment: str) -> list[FlowRun]:
        """Lists the runs that a deployment's schedules have planned."""
        id_ = DeploymentFilterId(any_=[self.deployment(deployment).id])
        runs = self.client.read_flow_runs(deployment_filter=DeploymentFilter(id=id_))
        return [run for run in runs if run.auto_scheduled]

    def task_states(self, run: UUID) -> dict[str, State]:
        filter_ = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
        tasks = self.client.read_task_runs(flow_run_filter=filter_)
        return {task.name: task.state for task in tasks if task.state is not None}

    def wait_for_task(self, run: UUID, task: str, state: str) -> None:
        """Waits for a task run to be in a state, or the flow run to end without it."""

        def look() -> bool:
            states = self.task_states(run)
            return (task in states and states[task].name == state) or self.state(run).is_final()

        wait_until(look)
        assert self.task_states(run)[task].name == state

    def cancel(self, run: UUID) -> None:
        """Cancels a run, like the button `Cancel`."""
        self.client.set_flow_run_state(run, Cancelling())

    def log(self, name: str) -> str:
        return (self.workspace.folder / ".imf/prefect" / f"{name}.log").read_text()


def _works_in(folder: str, process: psutil.Process) -> bool:
    try:
        return process.cwd() == folder and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _has(process: psutil.Process, *words: str) -> bool:
    try:
        line = " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return any(word in line for word in words)
