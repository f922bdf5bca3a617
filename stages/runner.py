"""Runs stages: user errors become one message, bugs keep their traceback."""

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from imf_core.base.artifacts import make_state_folder, write_json
from imf_core.base.errors import (
    ERROR_VARIABLE,
    ErrorRecord,
    ImfError,
    NetworkError,
    find_full_disk,
)
from imf_core.base.terminal import protect_output
from stages import INTERRUPT_MESSAGE, INTERRUPTED

STATE_VARIABLE = "IMF_STATE"
MIRROR_VARIABLE = "IMF_MIRROR"
RAY_VARIABLE = "RAY_ADDRESS"

EX_TEMPFAIL = 75
"""Exit status of sysexits.h for temporary failures; `os` has it only on Unix."""

_NOT_WRITABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_WORKING_NAMES = (".tmp", ".old", ".lock")
"""Endings of files that the code makes for itself; a message names their folder."""

_FILE_ERRORS = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ELOOP, errno.ENAMETOOLONG}
    | {errno.EISDIR, errno.ENOTDIR, errno.EEXIST}
)
"""Errors of folders and disks. A missing file is not among them: files named by the user are
checked before they are read, so a missing one is a bug."""


def run_stage(stage: Callable[[], None]) -> None:
    """Runs a stage and ends the process with a plain message on a user's error.

    If the environment names a file for errors, it also gets the error, see `ErrorRecord`.

    Args:
        stage: The stage's `main`.

    Raises:
        SystemExit: With status 75 on a `NetworkError`, for a later retry; with 130 after an
            interrupt from the keyboard; with 1 on any other `ImfError`, a full disk or a path that
            cannot be read or written.
    """
    protect_output()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        stage()
    except KeyboardInterrupt:
        print(INTERRUPT_MESSAGE, file=sys.stderr)
        sys.exit(INTERRUPTED)
    except Exception as error:
        message = _explain(error)
        is_temporary = isinstance(error, NetworkError) and not find_full_disk(error)
        _record(error, message, is_temporary)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        sys.exit(EX_TEMPFAIL if is_temporary else 1)


def _record(error: Exception, message: str | None, is_temporary: bool) -> None:
    """Writes the error to the file that the environment names; the first of several processes."""
    path = Path(os.environ.get(ERROR_VARIABLE, ""))
    if not path.name or path.exists():
        return
    message = message or traceback.format_exception_only(error)[-1].strip()
    record = ErrorRecord(_process_name(), type(error).__name__, message, is_temporary)
    with suppress(OSError):  # a full disk: standard error still has the message
        write_json(path, asdict(record))


def _process_name() -> str:
    """Returns the name of the stage, or `imf` and the command."""
    name = Path(sys.argv[0]).stem
    if name == "features" and len(sys.argv) > 1:
        return f"{sys.argv[1]}_features"
    return " ".join(["imf", *sys.argv[1:2]]) if name in {"__main__", "imf"} else name


def _explain(error: Exception) -> str | None:
    """Returns the message for the user; None for a bug."""
    if full := find_full_disk(error):
        return (
            f"the disk is full (writing {full.filename or 'standard output or a file'}); free "
            "some space and run the command again; finished stages and checkpoints are kept"
        )
    if isinstance(error, ImfError):
        return str(error)
    if isinstance(error, OSError) and (folder := _find_unwritable_folder(error)):
        if error.errno == errno.EROFS:
            remedy = "it is on a read-only disk, so mount that for writing"
        else:
            remedy = (
                f"give yourself permission (`chmod -R u+w {folder}`, or `sudo chown -R $USER "
                f"{folder}` where it is another user's)"
            )
        return (
            f"the folder {folder} cannot be written ({error.strerror}); {remedy}, or run in a copy "
            "of the project in a folder of your own"
        )
    if isinstance(error, OSError) and error.filename is not None and error.errno in _FILE_ERRORS:
        return (
            f"{error.filename} cannot be read or written ({error.strerror}); change its "
            "permissions or its disk, or name another file"
        )
    return None


def _find_unwritable_folder(error: OSError) -> Path | None:
    """Returns the folder in which nothing can be made or changed, None where a file is to blame."""
    name = error.filename
    if error.errno not in _NOT_WRITABLE or not isinstance(name, str | bytes | os.PathLike):
        return None
    path = Path(os.fsdecode(name))
    # A path below a folder that cannot be entered does not even show whether it exists.
    if os.path.lexists(path) and not path.name.endswith(_WORKING_NAMES):
        return None
    folder = path.parent
    while not os.path.lexists(folder):
        folder = folder.parent
    return folder.resolve()


def state_folder() -> Path:
    """Returns the folder for resumable work outside DVC: checkpoints and fetched media.

    Its root is the environment variable `IMF_STATE`, by default `.imf` in the working folder. It
    may be deleted at any time; unfinished work then starts over.

    Raises:
        ConfigError: If `IMF_STATE` is empty or names no writable folder.
    """
    return make_state_folder(os.environ.get(STATE_VARIABLE, ".imf"), STATE_VARIABLE)


def mirror() -> str | None:
    """Returns the environment variable `IMF_MIRROR`, None if not set.

    It is a directory or base URL that holds every file at its URL without the scheme.
    """
    return os.environ.get(MIRROR_VARIABLE) or None


def ray_address() -> str | None:
    """Returns the address of the Ray cluster, None for a local Ray.

    It is Ray's environment variable `RAY_ADDRESS`: `auto` or `host:port`.
    """
    return os.environ.get(RAY_VARIABLE) or None
