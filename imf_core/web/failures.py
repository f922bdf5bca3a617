"""The failure of a fetch, and the exceptions of one attempt.

A reason may contain text of the server, so `Failure` reduces it to plain ASCII.
"""

import re
from dataclasses import dataclass
from typing import Literal

from imf_core.terminal import escaped

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
