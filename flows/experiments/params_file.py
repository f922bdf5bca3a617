"""Writes values into the text of a params.yaml and keeps all other text, with comments."""

import json
from collections.abc import Mapping
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import BaseRepresenter

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
