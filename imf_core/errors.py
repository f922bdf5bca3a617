"""The errors a user can cause and mend.

Each message names the value, the bound it broke, the file it stands in and the remedy. A stage
prints the message alone; anything that is not an `ImfError` is a bug and keeps its traceback.
"""


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
