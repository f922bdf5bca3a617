"""Where unfinished work lies that outlives a run and a copy of the workspace."""

import os
from pathlib import Path

VARIABLE = "IMF_STATE"


def state_folder() -> Path:
    """Returns the folder as the stages of the workspace know it, as an absolute path."""
    return Path(os.environ.get(VARIABLE, ".imf")).absolute()
