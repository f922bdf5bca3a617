"""A simulated live web in its own process: the number of a path determines its answer.

`python live_sources.py NUM_PORTS LOG` serves `/<number>` on so many ports of the loopback, prints
them, and writes a line to LOG for every request begun ("asked <path>") and every whole picture sent
("sent <path>"). `/forget` makes every path new again.
"""

import asyncio
import io
import sys
from pathlib import Path
from typing import TextIO

from aiohttp import web
from PIL import Image

NOT_FOUND = range(5)  # of every hundred paths: 5 are missing
BUSY = range(5, 7)  # 2 ask for a pause first
SLOW = range(7, 9)
RESET_ONCE, RESET_ALWAYS, TRUNCATED_ONCE, TRUNCATED_ALWAYS = range(9, 13)
NO_PICTURE = range(13, 15)
FAILS_ONCE, REDIRECTED, TO_METADATA, TO_LOOPBACK = range(15, 19)
REDIRECTS = {
    REDIRECTED: "/picture-of-{}",
    TO_METADATA: "http://169.254.169.254/{}",
    TO_LOOPBACK: "http://127.0.0.2:9/{}",
}


def expected_status(number: int) -> str:
    """Returns the final status of a path."""
    kind = number % 100
    if kind in NOT_FOUND:
        return "not_found"
    if kind in (RESET_ALWAYS, TRUNCATED_ALWAYS):
        return "unreachable"
    if kind in NO_PICTURE:
        return "not_an_image"
    return "refused" if kind in (TO_METADATA, TO_LOOPBACK) else "ok"


def picture(number: int) -> bytes:
    """Makes a small picture; one in ten is like many others, one in two is a JPEG."""
    shade = 0 if number % 10 == 0 else number
    colour = (shade % 256, shade // 256 % 256, 90)
    buffer = io.BytesIO()
    image = Image.new("RGB", (24, 16), colour)
    image.putpixel((number % 3, 0), (255, 255, 255))
    image.save(buffer, "PNG" if number % 2 else "JPEG")
    return buffer.getvalue()


class LiveSources:
    """Answers requests and writes what happened."""

    def __init__(self, log: TextIO) -> None:
        self._log = log
        self._known: set[int] = set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name == "forget":
            self._known.clear()
            return web.Response()
        self._log.write(f"asked /{name}\n")
        number = int(name.removeprefix("picture-of-"))
        if name.startswith("picture-of-"):
            return await self._send(request, picture(number), 1)
        kind = number % 100
        is_first = number not in self._known
        self._known.add(number)
        if kind in NOT_FOUND:
            return web.Response(status=404)
        if kind in BUSY and is_first:
            return web.Response(status=429, headers={"Retry-After": "1"})
        if kind == FAILS_ONCE and is_first:
            return web.Response(status=503)
        if kind in (RESET_ALWAYS, TRUNCATED_ALWAYS) or (
            kind in (RESET_ONCE, TRUNCATED_ONCE) and is_first
        ):
            return await self._break_off(request, kind in (RESET_ALWAYS, RESET_ONCE))
        if kind in REDIRECTS:
            return web.Response(status=302, headers={"Location": REDIRECTS[kind].format(number)})
        if kind in NO_PICTURE:
            return await self._send(request, b"<html>no picture</html>" * 10, 1)
        return await self._send(request, picture(number), 10 if kind in SLOW else 1)

    async def _send(self, request: web.Request, body: bytes, num_parts: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(body))})
        size = -(-len(body) // num_parts)
        try:
            await response.prepare(request)
            for start in range(0, len(body), size):
                await response.write(body[start : start + size])
                if num_parts > 1:
                    await asyncio.sleep(0.05)
            await response.write_eof()
        except ConnectionError:  # the client was killed
            return response
        self._log.write(f"sent {request.path}\n")
        return response

    async def _break_off(self, request: web.Request, is_reset: bool) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100000"})
        await response.prepare(request)
        await response.write(b"x" * 1000)
        assert request.transport is not None
        if is_reset:
            request.transport.abort()
        else:
            request.transport.close()
        return response


async def serve(num_ports: int, log: TextIO) -> None:
    """Serves until the process is ended."""
    sources = LiveSources(log)
    application = web.Application()
    application.router.add_get("/{name}", sources.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    ports = []
    for _ in range(num_ports):
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ports.append(site._server.sockets[0].getsockname()[1])
    print(*ports, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with Path(sys.argv[2]).open("a", buffering=1) as log_file:
        asyncio.run(serve(int(sys.argv[1]), log_file))
