"""The errors that a user can cause and repair.

Each message names the value, the bound it broke, its file and the remedy. A stage prints the
message alone, likewise for a full disk and a place that cannot be read or written (no permission, a
folder instead of a file). Anything else is a bug and keeps its traceback.
"""

import errno

_FULL_DISK = {errno.ENOSPC: "No space left on device", errno.EDQUOT: "Disk quota exceeded"}
"""Number of the error -> its words, by which libraries that are not of Python report it."""


class ImfError(Exception):
    """Base of every error whose cause lies in the user's input or environment."""


class ConfigError(ImfError):
    """A key or value of `params.yaml` is unknown, of the wrong type or out of range."""


class DataError(ImfError):
    """An input file is missing, malformed or contradicts another one."""


class QuestionError(ImfError):
    """A question names what the graph does not have, or asks for what cannot be answered."""


class NetworkError(ImfError):
    """Nobody on the web answers, or a host that did has stopped."""


class ModelUnavailableError(ImfError):
    """An encoder named in `params.yaml` cannot be loaded from where it was asked for."""


class ClusterError(ImfError):
    """The Ray cluster cannot be reached, has no room for what is asked of it, or fails."""


class OutOfMemoryError(ImfError):
    """A device has no room for what the parameters ask for."""


class LostProcessError(ImfError):
    """Another process at the same work has ended, and this one cannot go on without it."""


class TrainingError(ImfError):
    """Training cannot go on, or a checkpoint does not fit what it is asked to continue."""


class DivergenceError(TrainingError):
    """The loss or a score is no longer finite."""


def find_full_disk(error: BaseException) -> OSError | None:
    """Returns the error of a full disk that an error is, or that led to it; None without one."""
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
