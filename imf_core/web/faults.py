"""Why a file could not be had: the fault that is reported, and how attempts end in between.

A fault's reason is made plain here, whoever words it: a server may have chosen a part of it.
"""

import re
from dataclasses import dataclass
from typing import Literal

from imf_core.terminal import escaped

FaultStatus = Literal["not_found", "refused", "too_many_bytes", "unreachable", "error"]

MAX_REASON_CHARACTERS = 300
MAX_URL_CHARACTERS = 150

# Only as much as takes linear time: a server may choose megabytes of text.
_URL = re.compile(r"(https?://)(\S*)", re.IGNORECASE)
_QUERY = re.compile(r"[?#]")
_PUNCTUATION = ":;,.)'\""
"""Of the sentence around a URL, where it follows a query or fragment."""


@dataclass(frozen=True)
class Fault:
    """Why there is no file.

    Attributes:
        status: not_found (404, 410), refused (by us: the address or the URL itself),
            too_many_bytes, error (of this program), or unreachable (anything else).
        reason: For people; made plain as `plain_reason` says.
        is_final: Asking again, with the same parameters, will not help.
    """

    status: FaultStatus
    reason: str
    is_final: bool

    def __post_init__(self) -> None:
        """Makes the reason plain."""
        object.__setattr__(self, "reason", plain_reason(self.reason))


class FaultError(Exception):
    """Another attempt will not help in this run."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


class TransientError(Exception):
    """Another attempt may help.

    Attributes:
        is_host_paused: The host has a pause, which takes the place of the file's own.
        is_of_file: It counts as one of the file's attempts.
    """

    def __init__(
        self, reason: str, *, is_host_paused: bool = False, is_of_file: bool = True
    ) -> None:
        super().__init__(reason)
        self.is_host_paused = is_host_paused
        self.is_of_file = is_of_file


def too_long(max_bytes: int) -> FaultError:
    """Makes the fault of a file over the limit."""
    return FaultError(Fault("too_many_bytes", f"more than {max_bytes} bytes", is_final=True))


def plain_reason(text: str) -> str:
    """Returns one line of printable ASCII, at most some hundred characters long.

    URLs in it lose their user names, passwords, queries and fragments, which may hold secrets.
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
