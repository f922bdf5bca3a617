"""The body of a response into a partial file, from its start or on from where it broke off.

A gzip body is unpacked a small piece at a time, so that one that swells to no end is cut off at the
limit and never held.
"""

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import aiohttp

from imf_core.web.faults import Fault, FaultError, TransientError, too_long

_BLOCK_BYTES = 1 << 16
_GZIP = 16 + zlib.MAX_WBITS
"""zlib's word for the gzip format and no other."""
_UNASKED = re.compile(r"\b(br|zstd|deflate|compress|x-compress)\b|gzip.*,|,.*gzip")
"""Codings that were not asked for; what else the header may say is no coding."""
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)


async def receive(
    response: aiohttp.ClientResponse, partial: Path, start: int, max_bytes: int, *, may_unpack: bool
) -> None:
    """Writes the body to `partial`, after what is already there if the server goes on there.

    Args:
        response: What the server answered.
        partial: Where the body goes.
        start: Bytes that `partial` holds already.
        max_bytes: A longer file, unpacked, is given up.
        may_unpack: Whether gzip was asked for; else the file is kept in what form it comes.

    Raises:
        FaultError: If the file is too long, or comes in part or compressed without being asked to.
        TransientError: If the body is another range, or gzip that is damaged or cut short.
    """
    is_part = response.status == 206
    announced = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if is_part and not start:
        reason = "a part of the file, which was not asked for"
        raise FaultError(Fault("unreachable", reason, is_final=False))
    if is_part and not (announced and int(announced[1]) == start <= int(announced[2])):
        partial.unlink(missing_ok=True)
        raise TransientError("another range than asked for")
    size = start if is_part else 0
    encoding = ",".join(response.headers.getall("Content-Encoding", [])).strip().lower()
    if may_unpack and _UNASKED.search(encoding):
        reason = "the answer is compressed in a way that was not asked for"
        raise FaultError(Fault("unreachable", reason, is_final=False))
    gunzip = _Gunzip() if may_unpack and encoding in {"gzip", "x-gzip"} else None
    # The length announced is that of the gzip, which says little of the file's.
    if gunzip is None and size + (response.content_length or 0) > max_bytes:
        raise too_long(max_bytes)
    packed, most_packed = 0, max_bytes + max(max_bytes // 100, _BLOCK_BYTES)
    with partial.open("ab" if is_part else "wb") as file:
        async for block in response.content.iter_chunked(_BLOCK_BYTES):
            packed += len(block)
            if gunzip and packed > most_packed:  # a gzip of next to nothing, over and over
                raise too_long(max_bytes)
            for piece in gunzip.unpack(block) if gunzip else (block,):
                size += len(piece)
                if size > max_bytes:
                    raise too_long(max_bytes)
                file.write(piece)
    if gunzip:
        gunzip.require_end()
    if is_part and announced:
        _require_range(announced, size, partial)


def finish(response: aiohttp.ClientResponse, partial: Path, start: int) -> None:
    """Settles a range that the server does not have: the file is whole already, or another."""
    if response.headers.get("Content-Range") == f"bytes */{start}":
        return
    partial.unlink()
    raise TransientError("HTTP 416")


def _require_range(announced: re.Match[str], size: int, partial: Path) -> None:
    """Raises if the file does not end with the range announced, or goes on after it."""
    total = size if announced[3] == "*" else int(announced[3])
    if size != int(announced[2]) + 1 or size > total:
        partial.unlink()
        raise TransientError("another range than announced")
    if size < total:
        raise TransientError("a part of the range asked for")


def size_of(path: Path) -> int:
    """Returns a file's size, 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


class _Gunzip:
    """Unpacks one body."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)

    def unpack(self, block: bytes) -> Iterator[bytes]:
        """Yields what the next block of the body holds, at most `_BLOCK_BYTES` at a time."""
        while block:
            if self._member.eof:  # one gzip may follow another
                self._member = zlib.decompressobj(_GZIP)
            try:
                yield self._member.decompress(block, _BLOCK_BYTES)
            except zlib.error as error:
                raise TransientError("the gzip of the answer is damaged") from error
            block = self._member.unconsumed_tail or self._member.unused_data

    def require_end(self) -> None:
        """Raises if the body ended too soon."""
        if not self._member.eof:
            raise TransientError("the gzip of the answer is cut short")
