"""Formats values as arguments of `dvc exp run`, without need of shell quoting.

In `dvc exp run $(python -m recipes db15k)` the shell splits the output at blanks, so no value may
contain one. DVC parses the text after `=` by Hydra's grammar.
"""

import re
from collections.abc import Mapping
from typing import Any

from imf_core.errors import ConfigError

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./:@-]*")
_KEYWORDS = {"true", "false", "null", "nan", "inf"}


def make_arguments(overrides: Mapping[str, Any]) -> list[str]:
    """Returns the arguments that set values by `section.key`.

    Raises:
        ConfigError: If a value contains a blank.
    """
    words = []
    for key, value in overrides.items():
        written = f"{key}={_write(value)}"
        if re.search(r"\s", written):
            raise ConfigError(
                f"{key} contains a blank, at which the shell would split it: {value!r}"
            )
        words += ["-S", written]
    return words


def _write(value: object) -> str:
    """Writes a value in Hydra's grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(_write, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_write(each)}" for key, each in value.items()) + "}"
    if isinstance(value, str):
        is_plain = _PLAIN.fullmatch(value) and value.lower() not in _KEYWORDS
        return value if is_plain else "'" + value.replace("'", "\\'") + "'"
    return str(value)
