"""Responses of a server: how long to wait before the next attempt, why one failed, and its body.

A server may choose a part of a failure's reason, so the reason becomes plain, bounded text here. A
gzip body is unpacked in small pieces and cut off at the size limit.
"""

import hashlib
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

import aiohttp

from imf_core.base.config import FetchParams
from imf_core.base.terminal import escaped

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 1.0e9
"""Longer pauses are cut to this."""

_SECONDS = re.compile(r"[0-9]+(\.[0-9]*)?")


def user_agent(params: FetchParams) -> str:
    """Returns the User-Agent header, with the contact of the parameters."""
    contact = f"; +{params.contact}" if params.contact else ""
    return f"imf/0.1 (multimodal knowledge-graph completion{contact})"


def back_off_seconds(url: str, failures: int) -> float:
    """Returns the pause before another attempt: about 1, 2, 4, ... s, spread by the URL's hash."""
    digest = hashlib.sha256(f"{failures} {url}".encode()).digest()
    spread = 0.5 + int.from_bytes(digest[:4], "big") / 2**32
    return float(FIRST_PAUSE_SECONDS * 2.0 ** (max(failures, 1) - 1) * spread)


def retry_after_seconds(header: str | None) -> float | None:
    """Reads a Retry-After header, seconds or a date; None if it is missing or malformed."""
    text = (header or "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), LONGEST_PAUSE_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):  # no date, or none that exists
        return None


FailureStatus = Literal["not_found", "refused", "too_many_bytes", "unreachable", "error"]

MAX_REASON_CHARACTERS = 300
MAX_URL_CHARACTERS = 150

# Linear time: a server may send megabytes of text.
_URL = re.compile(r"(https?://)(\S*)", re.IGNORECASE)
_QUERY = re.compile(r"[?#]")
_PUNCTUATION = ":;,.)'\""
"""Punctuation of the sentence around a URL, after a query or fragment."""


@dataclass(frozen=True)
class Failure:
    """A fetch that brought no file.

    Attributes:
        status: not_found (404, 410), refused (by this program, for the address or the URL),
            too_many_bytes, error (of this program), or unreachable (anything else).
        reason: The cause in words, as `plain_reason` returns it.
        is_final: Whether another request with the same parameters would fail too.
    """

    status: FailureStatus
    reason: str
    is_final: bool

    def __post_init__(self) -> None:
        """Makes the reason plain."""
        object.__setattr__(self, "reason", plain_reason(self.reason))


class FetchError(Exception):
    """A failure that another attempt in this run does not repair."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class TransientError(Exception):
    """A failure that another attempt may repair.

    Attributes:
        is_host_paused: Whether the host has a pause, which replaces the pause of the file.
        is_of_file: Whether it counts as one of the file's attempts.
    """

    def __init__(
        self, reason: str, *, is_host_paused: bool = False, is_of_file: bool = True
    ) -> None:
        super().__init__(reason)
        self.is_host_paused = is_host_paused
        self.is_of_file = is_of_file


def too_long(max_bytes: int) -> FetchError:
    """Makes the error of a file over the size limit."""
    return FetchError(Failure("too_many_bytes", f"more than {max_bytes} bytes", is_final=True))


def plain_reason(text: str) -> str:
    """Returns one line of printable ASCII with at most `MAX_REASON_CHARACTERS` characters.

    User names, passwords, queries and fragments of URLs are removed: they may contain secrets.
    """
    line = " ".join(_URL.sub(_shown_url, text).split())
    plain = escaped(line).encode("ascii", "backslashreplace").decode("ascii")
    return _cut(plain, MAX_REASON_CHARACTERS)


def _shown_url(found: re.Match[str]) -> str:
    """Returns a URL without its user name, password, query and fragment."""
    place, *query = _QUERY.split(found[2], maxsplit=1)
    authority, slash, path = place.partition("/")
    host = authority.rpartition("@")[2]
    end = query[0][len(query[0].rstrip(_PUNCTUATION)) :] if query else ""
    return _cut(f"{found[1]}{host}{slash}{path}", MAX_URL_CHARACTERS) + end


def _cut(text: str, max_characters: int) -> str:
    return text if len(text) <= max_characters else f"{text[: max_characters - 3]}..."


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
