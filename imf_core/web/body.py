"""The body of a response into a partial file, from its start or on from where it broke off."""

import re
from pathlib import Path

import aiohttp

from imf_core.web.faults import TransientError, too_long

_BLOCK_BYTES = 1 << 16


async def receive(
    response: aiohttp.ClientResponse, partial: Path, start: int, max_bytes: int
) -> None:
    """Writes the body to `partial`, after what is already there if the server goes on there."""
    has_range = response.status == 206
    if has_range and not re.match(rf"bytes {start}-", response.headers.get("Content-Range", "")):
        partial.unlink(missing_ok=True)
        raise TransientError("another range than asked for")
    size = start if has_range else 0
    if size + (response.content_length or 0) > max_bytes:
        raise too_long(max_bytes)
    with partial.open("ab" if has_range else "wb") as file:
        async for block in response.content.iter_chunked(_BLOCK_BYTES):
            size += len(block)
            if size > max_bytes:
                raise too_long(max_bytes)
            file.write(block)


def finish(response: aiohttp.ClientResponse, partial: Path, start: int) -> None:
    """Settles a range that the server does not have: the file is whole already, or another."""
    if response.headers.get("Content-Range") == f"bytes */{start}":
        return
    partial.unlink()
    raise TransientError("HTTP 416")


def size_of(path: Path) -> int:
    """Returns a file's size, 0 where there is none."""
    return path.stat().st_size if path.exists() else 0
