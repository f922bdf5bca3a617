"""Whose turn it is: how many requests a host gets at once, and when it is left in peace.

A host is a name with a port. A pause that it asks for holds for every request to it, and so does
one that it is given because it is silent: as long as the silence has lasted. A host that is silent
for minutes, or wants a longer pause than the parameters grant, is given up for this run.
"""

import time
from asyncio import Semaphore, sleep
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

REQUESTS_IN_ALL = 64
FIRST_PAUSE_SECONDS = 1.0
LONGEST_SILENCE_SECONDS = 120.0
"""A router or a tunnel is back in that time, and a dead link costs no more."""


class HostGivenUpError(Exception):
    """The host is not asked any more in this run.

    Attributes:
        host: Its name and port.
        had_answered: Whether it had answered before.
    """

    def __init__(self, host: str, reason: str, had_answered: bool) -> None:
        super().__init__(f"{host} {reason}")
        self.host = host
        self.had_answered = had_answered


class Host:
    """What is known of one host during one run."""

    def __init__(
        self, name: str, requests_at_once: int, longest_pause_seconds: float, answered: set[str]
    ) -> None:
        self.turns = Semaphore(requests_at_once)
        self.users = 0
        self._name = name
        self._longest_pause_seconds = longest_pause_seconds
        self._answered = answered
        self._paused_until = float("-inf")
        self._silent_since: float | None = None
        self._given_up = ""

    @property
    def pause_seconds(self) -> float:
        """What is left of its pause; 0 or less where it has none."""
        return self._paused_until - time.monotonic()

    @property
    def had_answered(self) -> bool:
        """Whether it ever answered in this run."""
        return self._name in self._answered

    @property
    def is_forgettable(self) -> bool:
        """Whether nothing is known of it that a later request would have to heed."""
        return self.users == 0 and not self._given_up and self.pause_seconds <= 0

    def note_answer(self) -> None:
        """Notes that it answered, whatever the answer."""
        self._answered.add(self._name)
        self._silent_since = None

    def note_silence(self) -> None:
        """Notes that there was no connection, or no answer in time."""
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since = now
        silence = now - self._silent_since
        if silence >= LONGEST_SILENCE_SECONDS:
            self._given_up = f"did not answer for {LONGEST_SILENCE_SECONDS:g} s"
        else:
            self._pause(max(FIRST_PAUSE_SECONDS, silence))

    def ask_to_pause(self, seconds: float) -> None:
        """Notes that it does not want to be asked for so long."""
        if seconds > self._longest_pause_seconds:
            self._given_up = (
                "asks for a pause longer than fetch.longest_pause_seconds "
                f"({self._longest_pause_seconds:g})"
            )
        else:
            self._pause(seconds)

    def require_patience(self) -> None:
        """Raises a `HostGivenUpError` if it is given up."""
        if self._given_up:
            raise HostGivenUpError(self._name, self._given_up, self.had_answered)

    def _pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)


class Hosts:
    """Gives every request its turn."""

    def __init__(
        self, requests_per_host: int, longest_pause_seconds: float, answered: set[str]
    ) -> None:
        """Starts with no request under way.

        Args:
            requests_per_host: Under way at once.
            longest_pause_seconds: A host that asks for a longer one is given up.
            answered: Names of the hosts that answered in this run; those that do are added.
        """
        self._requests_per_host = requests_per_host
        self._longest_pause_seconds = longest_pause_seconds
        self._answered = answered
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
            HostGivenUpError: If the host is given up.
        """
        host = self._host(name)
        host.users += 1
        try:
            async with host.turns:
                while True:
                    host.require_patience()
                    if (pause := host.pause_seconds) > 0:
                        await sleep(pause)
                        continue
                    async with self._in_all:
                        if host.pause_seconds > 0:  # paused while this one waited
                            continue
                        yield host
                        return
        finally:
            host.users -= 1
            if host.is_forgettable:  # a million hosts must not pile up
                del self._hosts[name]

    def _host(self, name: str) -> Host:
        """Returns what is known of a host; a silence that nobody heard the end of is over."""
        host = self._hosts.get(name)
        if host is None or host.is_forgettable:
            host = Host(name, self._requests_per_host, self._longest_pause_seconds, self._answered)
            self._hosts[name] = host
        return host
