"""How every stage runs: the user's errors as one message, bugs with their traceback."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

from imf_core.artifacts import make_state_folder
from imf_core.errors import ImfError, NetworkError, find_full_disk
from imf_core.terminal import protect_output

STATE_VARIABLE = "IMF_STATE"
MIRROR_VARIABLE = "IMF_MIRROR"
RAY_VARIABLE = "RAY_ADDRESS"

EX_TEMPFAIL = 75
"""The exit status of sysexits.h for what may go well later; `os` has it on Unix alone."""

INTERRUPTED = 130
"""The exit status that shells give to what the keyboard has interrupted."""


_OF_THE_PLACE = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ELOOP, errno.ENAMETOOLONG}
    | {errno.EISDIR, errno.ENOTDIR, errno.EEXIST}
)
"""Errors of the place of a file. A missing file is not among them: files that the user names are
checked before they are read, so a missing one is a bug."""


def run_stage(stage: Callable[[], None]) -> None:
    """Runs a stage and ends the process with a plain message on a user's error.

    Args:
        stage: The stage's `main`.

    Raises:
        SystemExit: With status 75 on a `NetworkError`, which whoever runs the stage may try
            again later; with 130 where it is interrupted from the keyboard; with 1 on any other
            `ImfError`, a full disk or a place that cannot be read or written.
    """
    protect_output()
    try:
        stage()
    except KeyboardInterrupt:
        print("interrupted; finished stages and checkpoints are kept", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except Exception as error:
        message = _explain(error)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        is_temporary = isinstance(error, NetworkError) and not find_full_disk(error)
        sys.exit(EX_TEMPFAIL if is_temporary else 1)


def _explain(error: Exception) -> str | None:
    """Returns the message for the user; None where the error is a bug."""
    if full := find_full_disk(error):
        return (
            f"the disk is full (writing {full.filename or 'the working folder'}); free some space "
            "and run `dvc repro` again, finished stages and checkpoints are kept"
        )
    if isinstance(error, ImfError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None and error.errno in _OF_THE_PLACE:
        return (
            f"{error.filename} cannot be read or written ({error.strerror}); change its "
            "permissions or its disk, or name another file"
        )
    return None


def state_folder() -> Path:
    """Returns the folder for resumable work outside DVC: checkpoints and fetched media.

    Its root is the environment variable `IMF_STATE`, by default `.imf` in the working folder. It
    may be deleted at any time; unfinished work then starts anew.

    Raises:
        ConfigError: If `IMF_STATE` is empty, or names no folder that can be written.
    """
    return make_state_folder(os.environ.get(STATE_VARIABLE, ".imf"), STATE_VARIABLE)


def mirror() -> str | None:
    """Returns where to ask for files instead of at their URLs, None for the URLs themselves.

    It is the environment variable `IMF_MIRROR`: a directory or base URL that holds every file at
    its URL without the scheme.
    """
    return os.environ.get(MIRROR_VARIABLE) or None


def ray_address() -> str | None:
    """Returns the Ray cluster for workers, None for a Ray of their own on this machine.

    It is Ray's own environment variable `RAY_ADDRESS`: `auto` or `host:port`.
    """
    return os.environ.get(RAY_VARIABLE) or None
