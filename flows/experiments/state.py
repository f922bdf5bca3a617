"""Where unfinished work lies that outlives a run and a copy of the workspace."""

import os
from pathlib import Path

from imf_core.errors import ConfigError

VARIABLE = "IMF_STATE"


def state_folder() -> Path:
    """Returns the folder as the stages of the workspace know it, as an absolute path.

    Raises:
        ConfigError: If the variable is empty.
    """
    given = os.environ.get(VARIABLE, ".imf")
    if not given.strip():
        raise ConfigError(f"the environment variable {VARIABLE} is empty; set it or unset it")
    return Path(given).absolute()
