"""Errors that users can cause and repair.

Each message names the value, its bound, its file and the remedy. A stage prints only the message,
also for a full disk and a path that cannot be read or written (no permission, a folder instead of a
file). Any other exception is a bug and keeps its traceback.
"""

import errno
from dataclasses import dataclass

_FULL_DISK = {errno.ENOSPC: "No space left on device", errno.EDQUOT: "Disk quota exceeded"}
"""Error number -> message, as in errors of libraries in other languages."""


ERROR_VARIABLE = "IMF_ERROR_FILE"
"""Environment variable with the path of a file; a failing stage writes its `ErrorRecord` there."""


@dataclass(frozen=True)
class ErrorRecord:
    """The error of a stage for the program that started it, a JSON object with these keys.

    Attributes:
        stage: Name of the stage or command.
        kind: Class of the exception.
        message: The message on standard error; the last line of the traceback for a bug.
        is_temporary: Whether the network failed, so that a later try may succeed.
    """

    stage: str
    kind: str
    message: str
    is_temporary: bool


class ImfError(Exception):
    """Base class of errors caused by the user's input or environment."""


class ConfigError(ImfError):
    """A key or value of `params.yaml` is unknown, of the wrong type or out of range."""


class DataError(ImfError):
    """An input file is missing, malformed or contradicts another one."""


class QuestionError(ImfError):
    """A question names unknown labels or cannot be answered."""


class NetworkError(ImfError):
    """No host answers, or a host has stopped answering."""


class ModelUnavailableError(ImfError):
    """An encoder named in `params.yaml` cannot be loaded."""


class ClusterError(ImfError):
    """The Ray cluster cannot be reached, has too little capacity, or fails."""


class OutOfMemoryError(ImfError):
    """A device has too little memory for the parameters."""


class LostProcessError(ImfError):
    """Another process of the same computation has ended."""


class TrainingError(ImfError):
    """Training cannot continue, or a checkpoint does not fit the run."""


class DivergenceError(TrainingError):
    """The loss or a score is no longer finite."""


def find_full_disk(error: BaseException) -> OSError | None:
    """Returns the error of a full disk in the chain of an error's causes; None without one."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        if isinstance(each, OSError) and each.errno in _FULL_DISK:
            return each
        for number, words in _FULL_DISK.items():
            if words in str(each) and not isinstance(each, ImfError):
                return OSError(number, words)
        seen.add(id(each))
        waiting += [each.__cause__, None if each.__suppress_context__ else each.__context__]
        waiting += each.exceptions if isinstance(each, BaseExceptionGroup) else []
    return None
