"""A web server on the loopback, in a thread: path -> answers, the last one repeated."""

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from aiohttp import web

Answer = tuple[int, dict[str, str], bytes]
Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LocalServer:
    """Serves `answers` and counts the requests."""

    def __init__(self, answers: dict[str, list[Answer] | Answering], port: int = 0) -> None:
        self.answers = answers
        self.port = port
        self.asked: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.most_at_once = 0
        self._at_once = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> int:
        application = web.Application()
        application.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_port=self.port > 0)
        await site.start()
        return int(site._server.sockets[0].getsockname()[1])

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path_qs
        plan = self.answers.get(path, [(404, {}, b"")])
        number = self.asked[path]
        self.asked[path] += 1
        self.headers.append(dict(request.headers))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if callable(plan):
                return await plan(request)
            status, headers, body = plan[min(number, len(plan) - 1)]
            return web.Response(status=status, headers=headers, body=body)
        finally:
            self._at_once -= 1


def broken_off(body: bytes, announced: int | None = None) -> Answering:
    """Answers with the first bytes of a longer body, then closes the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(announced or 2 * len(body))})
        await response.prepare(request)
        await response.write(body)
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


def ranged(body: bytes, first: int) -> Answering:
    """Serves ranges of `body`; a request without a range gets the first bytes and a broken end."""

    async def answer(request: web.Request) -> web.StreamResponse:
        wanted = request.headers.get("Range")
        if wanted is None:
            return await broken_off(body[:first], len(body))(request)
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(body):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(body)}"})
        part = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
        return web.Response(status=206, headers=part, body=body[start:])

    return answer
