"""Why a file could not be had: the fault that is reported, and how attempts end in between."""

from dataclasses import dataclass
from typing import Literal

FaultStatus = Literal["not_found", "refused", "too_many_bytes", "unreachable"]


@dataclass(frozen=True)
class Fault:
    """Why there is no file.

    Attributes:
        status: not_found (404, 410), refused (by us: the address or the URL itself),
            too_many_bytes, or unreachable (anything else).
        reason: For people.
        is_final: Asking again, with the same parameters, will not help.
    """

    status: FaultStatus
    reason: str
    is_final: bool


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
