"""The folder of unfinished work, which outlives a run and a copy of the workspace."""

import os
from pathlib import Path

from flows.faults import FlowError
from imf_core.artifacts import make_state_folder
from imf_core.errors import ConfigError

VARIABLE = "IMF_STATE"


def state_folder() -> Path:
    """Returns the absolute path of the folder that the stages of the workspace use.

    Raises:
        FlowError: If the variable is empty or names no writable folder; stages refuse it too.
    """
    try:
        return make_state_folder(os.environ.get(VARIABLE, ".imf"), VARIABLE).absolute()
    except ConfigError as error:
        raise FlowError(str(error)) from error
