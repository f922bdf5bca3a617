"""Serves the workspace's model in a browser: `python -m flows.server.model_server PORT`.

A part of `imf ui`. `imf serve` reads a model once, so this starts it again after a run has written
another one. Without a model it waits for one.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

MODEL = Path("results/model")
FILES = (
    *(MODEL / name for name in ("model.safetensors", "config.json", "calibration.json")),
    Path("data/graph/decided.parquet"),  # a rejected fact changes no model
)
PAUSE_SECONDS = 2.0
STOP_SECONDS = 10.0
RETRY_SECONDS = 60.0
"""Seconds before another try to serve a model that could not be read, as within a run."""

Stamp = tuple[tuple[int, int], ...]


def main(port: int) -> None:
    """Serves until it is stopped.

    Args:
        port: Port of the page.
    """
    server = ModelServer([sys.executable, "-m", "cli", "serve", "--port", str(port)])
    while True:
        server.check()
        time.sleep(PAUSE_SECONDS)


class ModelServer:
    """The process that serves the model.

    Args:
        command: Serves the workspace's model.

    Attributes:
        process: The last one started, None before the first model.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._command = command
        self._served: Stamp | None = None
        self._began = 0.0

    def check(self) -> None:
        """Starts the command for a new model, or again some time after it ended."""
        stamp = read_stamp()
        has_ended = self.process is not None and self.process.poll() is not None
        is_due = has_ended and time.monotonic() - self._began > RETRY_SECONDS
        if stamp is None or (stamp == self._served and not is_due):
            return
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = subprocess.Popen(self._command)
        self._served, self._began = stamp, time.monotonic()


def read_stamp() -> Stamp | None:
    """Returns times and sizes of the files, None if one is missing."""
    try:
        found = [path.stat() for path in FILES]
    except FileNotFoundError:
        return None
    return tuple((each.st_mtime_ns, each.st_size) for each in found)


if __name__ == "__main__":
    main(int(sys.argv[1]))
