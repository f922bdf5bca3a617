"""Where unfinished work lies that outlives a run and a copy of the workspace."""

import os
from pathlib import Path

from flows.faults import FlowError

VARIABLE = "IMF_STATE"


def state_folder() -> Path:
    """Returns the folder as the stages of the workspace know it, as an absolute path.

    Raises:
        FlowError: If the variable is empty, or names no folder that can be written; the stages
            refuse the same.
    """
    given = os.environ.get(VARIABLE, ".imf")
    folder = Path(given).absolute()
    remedy = f"set {VARIABLE} to a folder that can be written, or unset it to use .imf"
    if not given.strip():
        raise FlowError(f"the environment variable {VARIABLE} is empty; {remedy}")
    if folder.exists() and not folder.is_dir():
        raise FlowError(f"{folder}, the folder for resumable work, is a file; {remedy}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (NotADirectoryError, FileExistsError, PermissionError) as error:
        raise FlowError(
            f"{folder}, the folder for resumable work, cannot be made ({error.strerror}: "
            f"{error.filename}); {remedy}"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FlowError(f"{folder}, the folder for resumable work, cannot be written; {remedy}")
    return folder
