"""Limits per host: requests at the same time, pauses, and hosts that are skipped for this run.

A host is a name with a port. A pause applies to all its requests: one that it asks for, or one as
long as its silence. A host that is silent for minutes, or asks for a longer pause than the
parameters allow, is skipped. Names are resolved in threads of their own, since the look-up of a
dead name cannot be interrupted.
"""

import asyncio
import socket
import time
from asyncio import Semaphore, sleep
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult

REQUESTS_IN_ALL = 64
FIRST_PAUSE_SECONDS = 1.0
LONGEST_SILENCE_SECONDS = 120.0
"""Enough for a router or a tunnel to restart; a dead link costs no more."""


class HostGivenUpError(Exception):
    """The host gets no more requests in this run.

    Attributes:
        host: Name and port.
        had_answered: Whether it had answered before.
    """

    def __init__(self, host: str, reason: str, had_answered: bool) -> None:
        super().__init__(f"{host} {reason}")
        self.host = host
        self.had_answered = had_answered


class Host:
    """The state of one host in one run."""

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
        """Remaining pause in seconds; 0 or less without a pause."""
        return self._paused_until - time.monotonic()

    @property
    def had_answered(self) -> bool:
        """Whether it has answered in this run."""
        return self._name in self._answered

    @property
    def is_forgettable(self) -> bool:
        """Whether its state does not matter to later requests."""
        return self.users == 0 and not self._given_up and self.pause_seconds <= 0

    def note_answer(self) -> None:
        """Records an answer, whatever its status."""
        self._answered.add(self._name)
        self._silent_since = None

    def note_silence(self) -> None:
        """Records a failed connection or a timeout."""
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since = now
        silence = now - self._silent_since
        if silence >= LONGEST_SILENCE_SECONDS:
            self._given_up = f"did not answer for {LONGEST_SILENCE_SECONDS:g} s"
        else:
            self._pause(max(FIRST_PAUSE_SECONDS, silence))

    def ask_to_pause(self, seconds: float) -> None:
        """Records a pause that the host asks for."""
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
    """Gives each request its turn."""

    def __init__(
        self, requests_per_host: int, longest_pause_seconds: float, answered: set[str]
    ) -> None:
        """Starts without requests.

        Args:
            requests_per_host: Largest number of requests to a host at once.
            longest_pause_seconds: A host that asks for a longer pause is given up.
            answered: Names of the hosts that have answered in this run; this class adds to it.
        """
        self._requests_per_host = requests_per_host
        self._longest_pause_seconds = longest_pause_seconds
        self._answered = answered
        self._in_all = Semaphore(REQUESTS_IN_ALL)
        self._hosts: dict[str, Host] = {}

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[Host]:
        """Waits until a request to the host may start.

        Args:
            name: Host and port.

        Yields:
            The host, for recording its answer or silence.

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
        """Returns the state of a host; a forgettable one starts over."""
        host = self._hosts.get(name)
        if host is None or host.is_forgettable:
            host = Host(name, self._requests_per_host, self._longest_pause_seconds, self._answered)
            self._hosts[name] = host
        return host


_THREADS = 2 * REQUESTS_IN_ALL
"""One per request under way, and as many for queries that outlast their request."""


class Resolver(AbstractResolver):
    """Resolves names with the operating system."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "name")
        self._under_way: set[str] = set()

    def is_looking_up(self, host: str | None) -> bool:
        """Returns whether the query for `host` is still running."""
        return host in self._under_way

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Returns every address of a host.

        Raises:
            OSError: If the name is not known.
        """
        ask = partial(
            socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        self._under_way.add(host)
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        finally:
            self._under_way.discard(host)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Stops the threads; a running query ends when the system gives up."""
        self._threads.shutdown(wait=False, cancel_futures=True)
