"""Recipes: lists and reads them, applies them to other values, formats them for `dvc exp run`.

In `dvc exp run $(python -m recipes db15k)` the shell splits the output at blanks, so no value may
contain one. DVC parses the text after `=` by Hydra's grammar.
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imf_core.base.config import Params
from imf_core.base.errors import ConfigError
from imf_core.base.sections import validate
from imf_core.base.yaml_text import parse_yaml

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


FOLDER = Path(__file__).parent
PUBLISHED = FOLDER / "published.yaml"
"""Published figures; the only YAML file in the folder that is not a recipe."""

Overrides = dict[str, Any]
"""Values by `section.key`."""


def list_recipes() -> list[str]:
    """Returns the names of all recipes, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml") if path != PUBLISHED)


def read_recipe(name: str) -> Overrides:
    """Reads the values of a recipe, in the file's order.

    Raises:
        ConfigError: If there is no such recipe, or it is not a mapping of sections.
    """
    names = list_recipes()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"there is no recipe {name!r}, there are {', '.join(names)}{meant}")
    return read_overrides(FOLDER / f"{name}.yaml")


def read_overrides(path: Path) -> Overrides:
    """Reads a file with some keys of some sections; see `read_recipe`."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    sections = parse_yaml(text, str(path)) or {}
    if not isinstance(sections, dict):
        raise ConfigError(f"{path} must be a mapping of sections, got {sections!r}")
    for section, keys in sections.items():
        if not isinstance(keys, dict):
            raise ConfigError(f"{path}: {section} must be a mapping of keys, got {keys!r}")
    return {
        f"{section}.{key}": value
        for section, keys in sections.items()
        for key, value in keys.items()
    }


def lay_over(values: Mapping[str, Any], overrides: Overrides, source: str) -> Params:
    """Applies overrides to values and checks the result.

    Args:
        values: The keys and values of each section, by the section's name.
        overrides: Values that replace some of them.
        source: Origin of the overrides, for the message.

    Raises:
        ConfigError: If a key is unknown, or a value has the wrong type or is out of bounds.
    """
    merged = {section: dict(keys) for section, keys in values.items()}
    for dotted, value in overrides.items():
        section, _, key = dotted.partition(".")
        merged.setdefault(section, {})[key] = value
    return validate(Params, merged, source)
