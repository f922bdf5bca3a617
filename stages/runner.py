"""How every stage runs: the user's errors as one message, bugs with their traceback."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

from imf_core.errors import ImfError, NetworkError

STATE_VARIABLE = "IMF_STATE"
MIRROR_VARIABLE = "IMF_MIRROR"
RAY_VARIABLE = "RAY_ADDRESS"

EX_TEMPFAIL = 75
"""The exit status of sysexits.h for what may go well later; `os` has it on Unix alone."""

INTERRUPTED = 130
"""The exit status that shells give to what the keyboard has interrupted."""


def run_stage(stage: Callable[[], None]) -> None:
    """Runs a stage and ends the process with a plain message on a user's error.

    Args:
        stage: The stage's `main`.

    Raises:
        SystemExit: With status 75 on a `NetworkError`, which whoever runs the stage may try
            again later; with 130 where it is interrupted from the keyboard; with 1 on any other
            `ImfError`, a full disk or a file that cannot be read or written.
    """
    try:
        stage()
    except ImfError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EX_TEMPFAIL if isinstance(error, NetworkError) else 1)
    except KeyboardInterrupt:
        print("interrupted; finished stages and checkpoints are kept", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            where = error.filename or "the working folder"
            print(
                f"error: the disk is full (writing {where}); free some space and run `dvc repro` "
                "again, finished stages and checkpoints are kept",
                file=sys.stderr,
            )
        elif error.filename is not None:
            print(
                f"error: {error.filename} cannot be read or written ({error.strerror}); mend that "
                "or name another file",
                file=sys.stderr,
            )
        else:
            raise
        sys.exit(1)


def state_folder() -> Path:
    """Returns the folder for resumable work outside DVC: checkpoints and fetched media.

    Its root is the environment variable `IMF_STATE`, by default `.imf` in the working folder. It
    may be deleted at any time; unfinished work then starts anew.
    """
    return Path(os.environ.get(STATE_VARIABLE, ".imf"))


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
