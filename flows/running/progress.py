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
    """The progress bar of a task on its page, made when there is something to show."""

    def __init__(self, name: str) -> None:
        """Shows nothing yet.

        Args:
            name: Of what the bar is.
        """
        self._key = f"progress-{re.sub('[^a-z0-9]+', '-', name.lower())}"
        self._artifact: UUID | None = None
        self._last = 0.0

    def show(self, bar: Bar) -> None:
        """Draws the bar, at most once in a while; one that is full always."""
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN_UPDATES and bar.percent < 100:
            return
        self._last = now
        # A server that is away for a while is no fault of the stage.
        with suppress(httpx.HTTPError):
            self._draw(bar)

    def _draw(self, bar: Bar) -> None:
        """Tells the server."""
        if self._artifact is None:
            made = create_progress_artifact(bar.percent, key=self._key, description=bar.label)
            self._artifact = cast(UUID, made)  # a coroutine in asynchronous code alone
        else:
            update_progress_artifact(self._artifact, bar.percent, description=bar.label)
