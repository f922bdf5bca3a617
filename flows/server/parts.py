"""The processes and schedules of `imf ui`. Each process has a log; if one ends, all end.

Schedules are switched in the UI; `prefect deploy` would reset them to those of prefect.yaml, so a
registered deployment keeps its own.
"""

import os
import queue
import threading
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import TextIO
from urllib.parse import quote, urlencode

from flows.errors import FlowError
from flows.running.children import Child, Children

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


REPORT = Path("results/report.html")
HOST = "127.0.0.1"
REPORTS_VARIABLE = "IMF_REPORTS"
"""Variable with the address of the server of reports, set by `imf ui`."""
MODEL_VARIABLE = "IMF_MODEL_PAGE"
"""Variable with the address of the page of the workspace's model, set by `imf ui`."""


def entity_link(label: str) -> str:
    """Returns the URL of an entity in the page of the model, "" without `imf ui`."""
    server = os.environ.get(MODEL_VARIABLE)
    return f"{server}/entity?{urlencode({'label': label})}" if server else ""


def experiment_path(name: str) -> str:
    """Returns the URL path of an experiment's report."""
    return f"/experiments/{quote(name, safe='')}/{REPORT.name}"


def report_link(experiment: str | None = None) -> str:
    """Returns the URL of a report, or its path without a server.

    Args:
        experiment: Name of the experiment; None for the workspace.

    Returns:
        "" for an experiment without a server: its report is in DVC's cache.
    """
    if server := os.environ.get(REPORTS_VARIABLE):
        return server + (experiment_path(experiment) if experiment else f"/{REPORT.name}")
    return "" if experiment else str(REPORT.absolute())


def report_title(link: str, otherwise: str) -> str:
    """Returns the description of a report's artifact: a link if there is a URL."""
    return f"[Open the report]({link})" if link.startswith("http") else otherwise


def describe_report(link: str, experiment: str | None = None) -> str:
    """Formats the address of a report as Markdown.

    Args:
        link: Value of `report_link`.
        experiment: Name of the experiment; None for the workspace.
    """
    contents = "pictures, charts and mistakes to learn from, as one page"
    last = "" if experiment else " It shows the workspace's last run: a later run replaces it."
    if link.startswith("http"):
        model = "" if experiment else os.environ.get(MODEL_VARIABLE, "")
        ask = (
            f"\n\n## [Ask the model]({model})\n\nIts entities, answers and reasons."
            if model
            else ""
        )
        return (
            f"## [Open the report]({link})\n\nAll of this with {contents}.{last} The link works "
            f"while `imf ui` runs.{ask}"
        )
    return f"All of this with {contents} that any browser opens: `{link}`.{last}"
