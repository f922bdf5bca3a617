"""The progress bar of a task on its page in the UI."""

import re
import time
from contextlib import suppress
from typing import cast
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact

from flows.processes.output import Bar

_SECONDS_BETWEEN_UPDATES = 1.0


class ProgressShown:
    """The progress bar of a task on its page, made at the first update."""

    def __init__(self, name: str) -> None:
        """Shows nothing yet.

        Args:
            name: Name of the task.
        """
        self._key = f"progress-{re.sub('[^a-z0-9]+', '-', name.lower())}"
        self._artifact: UUID | None = None
        self._last = 0.0

    def show(self, bar: Bar) -> None:
        """Draws the bar, at most once per second; a full bar is always drawn."""
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN_UPDATES and bar.percent < 100:
            return
        self._last = now
        # An unreachable server must not fail the stage.
        with suppress(httpx.HTTPError):
            self._draw(bar)

    def _draw(self, bar: Bar) -> None:
        if self._artifact is None:
            made = create_progress_artifact(bar.percent, key=self._key, description=bar.label)
            self._artifact = cast(UUID, made)  # a coroutine only in asynchronous code
        else:
            update_progress_artifact(self._artifact, bar.percent, description=bar.label)
