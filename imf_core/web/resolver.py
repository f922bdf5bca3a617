"""Resolves host names in its own threads.

A DNS query cannot be cancelled: a dead name occupies its thread long after the request has timed
out. Spare threads keep other hosts from waiting for dead names.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult

from imf_core.web.hosts import REQUESTS_IN_ALL

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
