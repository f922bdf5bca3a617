"""Reads `params.yaml`."""

from pathlib import Path

from imf_core.base.config import Params
from imf_core.base.errors import ConfigError
from imf_core.base.sections import validate
from imf_core.base.yaml_text import describe_byte_error, parse_yaml


def load_params(path: Path) -> Params:
    """Reads and checks the whole parameter file.

    Args:
        path: A YAML file with every section of `Params`.

    Returns:
        The typed parameters.

    Raises:
        ConfigError: If the file is missing or malformed, a key is unknown or missing, or a value
            has the wrong type or is out of bounds. The message lists all errors.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ConfigError(f"{path} is not a file; run from the project's root") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not valid YAML, {describe_byte_error(error)}") from error
    return validate(Params, parse_yaml(text, str(path)), str(path))
