"""Writes the body of a response to a partial file, from its start or from where it broke off.

A gzip body is unpacked in small pieces, so that a gzip bomb stops at the limit and never fills
memory.
"""

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import aiohttp

from imf_core.web.failures import Failure, FetchError, TransientError, too_long

_BLOCK_BYTES = 1 << 16
_GZIP = 16 + zlib.MAX_WBITS
"""zlib's code for the gzip format only."""
_UNASKED = re.compile(r"\b(br|zstd|deflate|compress|x-compress)\b|gzip.*,|,.*gzip")
"""Codings that were not requested; other values of the header are no codings."""
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)


async def receive(
    response: aiohttp.ClientResponse, partial: Path, start: int, max_bytes: int, *, may_unpack: bool
) -> None:
    """Writes the body to `partial`; a server that resumes appends to its content.

    Args:
        response: The response, with its body unread.
        partial: The file to write.
        start: Size of `partial` in bytes.
        max_bytes: Largest size of the unpacked file.
        may_unpack: Whether gzip was requested; else the file is kept as sent.

    Raises:
        FetchError: If the file is too long, or partial or compressed without a request for it.
        TransientError: If the body is another range, or damaged or incomplete gzip.
    """
    is_part = response.status == 206
    announced = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if is_part and not start:
        reason = "a part of the file, which was not asked for"
        raise FetchError(Failure("unreachable", reason, is_final=False))
    if is_part and not (announced and int(announced[1]) == start <= int(announced[2])):
        partial.unlink(missing_ok=True)
        raise TransientError("another range than asked for")
    size = start if is_part else 0
    encoding = ",".join(response.headers.getall("Content-Encoding", [])).strip().lower()
    if may_unpack and _UNASKED.search(encoding):
        reason = "the answer is compressed in a way that was not asked for"
        raise FetchError(Failure("unreachable", reason, is_final=False))
    gunzip = _Gunzip() if may_unpack and encoding in {"gzip", "x-gzip"} else None
    # Content-Length is the size of the gzip, not of the file.
    if gunzip is None and size + (response.content_length or 0) > max_bytes:
        raise too_long(max_bytes)
    packed, most_packed = 0, max_bytes + max(max_bytes // 100, _BLOCK_BYTES)
    with partial.open("ab" if is_part else "wb") as file:
        async for block in response.content.iter_chunked(_BLOCK_BYTES):
            packed += len(block)
            if gunzip and packed > most_packed:  # many empty gzip members
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
    """Handles HTTP 416: the file is already complete, or it has changed and starts over."""
    if response.headers.get("Content-Range") == f"bytes */{start}":
        return
    partial.unlink()
    raise TransientError("HTTP 416")


def _require_range(announced: re.Match[str], size: int, partial: Path) -> None:
    """Raises if the file does not end with the announced range, or continues after it."""
    total = size if announced[3] == "*" else int(announced[3])
    if size != int(announced[2]) + 1 or size > total:
        partial.unlink()
        raise TransientError("another range than announced")
    if size < total:
        raise TransientError("a part of the range asked for")


def size_of(path: Path) -> int:
    """Returns a file's size in bytes, 0 if it does not exist."""
    return path.stat().st_size if path.exists() else 0


class _Gunzip:
    """Unpacks one body."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)

    def unpack(self, block: bytes) -> Iterator[bytes]:
        """Yields the unpacked content of a block, at most `_BLOCK_BYTES` at a time."""
        while block:
            if self._member.eof:  # one gzip may follow another
                self._member = zlib.decompressobj(_GZIP)
            try:
                yield self._member.decompress(block, _BLOCK_BYTES)
            except zlib.error as error:
                raise TransientError("the gzip of the answer is damaged") from error
            block = self._member.unconsumed_tail or self._member.unused_data

    def require_end(self) -> None:
        """Raises if the body is incomplete."""
        if not self._member.eof:
            raise TransientError("the gzip of the answer is cut short")
