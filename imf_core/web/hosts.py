"""Whose turn it is: how many requests a host gets at once, and when it is left in peace.

A host is a name with a port. A pause that it asks for holds for every request to it. One that did
not answer several times in a row is left alone for the rest of the run.
"""

import time
from asyncio import Semaphore, sleep
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

REQUESTS_IN_ALL = 64
SILENT_FAILURES = 8


class HostGivenUpError(Exception):
    """The host is not asked now, for the reason given."""


class Host:
    """What is known of one host during one run."""

    def __init__(self, requests_at_once: int) -> None:
        self.turns = Semaphore(requests_at_once)
        self.users = 0
        self._silences = 0
        self._paused_until = float("-inf")

    @property
    def pause_seconds(self) -> float:
        """What is left of the pause it asked for; 0 or less where it asked for none."""
        return self._paused_until - time.monotonic()

    @property
    def is_silent(self) -> bool:
        """Whether it did not answer too many times in a row."""
        return self._silences >= SILENT_FAILURES

    @property
    def is_forgettable(self) -> bool:
        """Whether nothing is known of it that a later request would have to heed."""
        return self.users == 0 and self._silences == 0 and self.pause_seconds <= 0

    def note_answer(self) -> None:
        """Notes that it answered, whatever the answer."""
        self._silences = 0

    def note_silence(self) -> None:
        """Notes that there was no connection, or no answer in time."""
        self._silences += 1

    def ask_to_pause(self, seconds: float) -> None:
        """Notes that it does not want to be asked for so long."""
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)


class Hosts:
    """Gives every request its turn."""

    def __init__(self, requests_per_host: int, longest_pause_seconds: float) -> None:
        self._requests_per_host = requests_per_host
        self._longest_pause_seconds = longest_pause_seconds
        self._in_all = Semaphore(REQUESTS_IN_ALL)
        self._hosts: dict[str, Host] = {}

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[Host]:
        """Waits until the host may be asked, and holds the turn.

        Args:
            name: Host and port.

        Yields:
            The host, to be told how it went.

        Raises:
            HostGivenUpError: If the host is silent, or wants a pause longer than is waited for.
        """
        host = self._hosts.setdefault(name, Host(self._requests_per_host))
        host.users += 1
        try:
            async with host.turns:
                while True:
                    await self._wait_for(name, host)
                    async with self._in_all:
                        if host.pause_seconds > 0:  # asked for while this one waited
                            continue
                        yield host
                        return
        finally:
            host.users -= 1
            if host.is_forgettable:  # a million hosts must not pile up
                del self._hosts[name]

    async def _wait_for(self, name: str, host: Host) -> None:
        """Waits until a pause is over."""
        while True:
            if host.is_silent:
                raise HostGivenUpError(f"{name} did not answer, left alone for this run")
            seconds = host.pause_seconds
            if seconds <= 0:
                return
            if seconds > self._longest_pause_seconds:
                raise HostGivenUpError(
                    f"{name} asks for a pause longer than {self._longest_pause_seconds:g} s"
                )
            await sleep(seconds)


def retry_after_seconds(header: str | None) -> float | None:
    """Reads a Retry-After header, seconds or a date; None where there is none to be understood."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
