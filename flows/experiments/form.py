"""The values of params.yaml as a form of the sections of `Params`, and back into the file."""

import json
import os
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import BaseRepresenter

from flows.errors import FlowError
from flows.experiments.workspace_copy import git
from imf_core.base.artifacts import make_state_folder
from imf_core.base.config import Params
from imf_core.base.errors import ConfigError
from imf_core.base.params_file import load_params
from imf_core.base.sections import validate
from imf_core.base.yaml_text import parse_yaml

_LONGEST_LINE = 10_000
"""Longer lines would be broken; a value stays on one line."""


def write_values(text: str, changes: Mapping[str, Any]) -> str:
    """Returns the text with other values.

    Args:
        text: A params.yaml: sections of keys.
        changes: New values by `section.key`; the keys must exist.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _LONGEST_LINE
    yaml.representer.add_representer(type(None), _represent_null)
    params = yaml.load(text)
    for key, value in changes.items():
        section, name = key.split(".")
        params[section][name] = YAML().load(json.dumps(value))  # in the flow style of JSON
    written = StringIO()
    yaml.dump(params, written)
    return written.getvalue()


def _represent_null(representer: BaseRepresenter, _value: None) -> ScalarNode:
    """Writes `null`; ruamel.yaml would leave it out."""
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


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


PARAMS_FILE = Path("params.yaml")


def read_values(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """Reads the present values of all parameters, checked.

    Returns:
        The keys and values of each section, by the section's name.

    Raises:
        FlowError: If a key is unknown or missing, or a value out of its bounds.
    """
    try:
        return load_params(path).model_dump()
    except ConfigError as error:
        raise FlowError(str(error)) from error


def read_values_at(revision: str) -> dict[str, Any]:
    """Reads the values of all parameters in a commit or tree of git, checked.

    Args:
        revision: Hash of the commit or tree.

    Raises:
        FlowError: If there is no params.yaml, a key is unknown or missing, or a value out of its
            bounds.
    """
    try:
        values = parse_yaml(git("show", f"{revision}:{PARAMS_FILE}"), str(PARAMS_FILE))
    except ConfigError as error:
        raise FlowError(str(error)) from error
    return check_values(values, str(PARAMS_FILE))


def complete_form(
    sections: Mapping[str, Mapping[str, Any] | BaseModel], base: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns all values of a form, checked; missing keys and sections are as in params.yaml.

    Args:
        sections: The keys and values of each section, by the section's name.
        base: The values of params.yaml, for the keys that the form leaves out.

    Raises:
        FlowError: If a key is unknown, or a value out of its bounds.
    """
    values = {
        name: {**base.get(name, {}), **_given(sections.get(name, {}))}
        for name in dict.fromkeys((*base, *sections))
    }
    return check_values(values, "the form")


def find_empty(
    sections: Mapping[str, Mapping[str, Any] | BaseModel], base: Mapping[str, Any]
) -> list[str]:
    """Lists the keys that a form leaves out, as `section.key`."""
    return [
        f"{name}.{key}"
        for name, section in sections.items()
        for key in base[name]
        if key not in _given(section)
    ]


def _given(section: Mapping[str, Any] | BaseModel) -> Mapping[str, Any]:
    """Returns the keys and values of a section, also if it is a model."""
    return section.model_dump() if isinstance(section, BaseModel) else section


def check_values(values: dict[str, Any], source: str) -> dict[str, Any]:
    """Checks the values of all parameters.

    Args:
        values: The keys and values of each section, by the section's name.
        source: Origin of the values, for the message.

    Returns:
        The values as the stages would read them.

    Raises:
        FlowError: If a key is unknown or missing, or a value out of its bounds.
    """
    try:
        return validate(Params, values, source).model_dump()
    except ConfigError as error:
        raise FlowError(str(error)) from error
