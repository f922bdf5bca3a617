"""Writes values into the text of a params.yaml and leaves all else as it stands, comments too.

DVC's own `--set-param` is not used for this: it writes 0.00001 as `1e-05` and the word yes without
quotes, which the stages' YAML reads as a string and as true.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from flows.faults import FlowError


def write_values(text: str, changes: Mapping[str, Any]) -> str:
    """Returns the text with other values.

    Args:
        text: A params.yaml: sections of keys.
        changes: New values by `section.key`; the keys must be there.

    Raises:
        FlowError: If a value cannot be written so that it reads the same.
    """
    expected = yaml.safe_load(text)
    spans = _find_values(text)
    for key in sorted(changes, key=lambda key: spans[key], reverse=True):
        start, end = spans[key]
        space = "" if text[start - 1].isspace() else " "
        text = text[:start] + space + _word(changes[key]) + text[end:]
        section, name = key.split(".")
        expected[section][name] = changes[key]
    if _read(text) != expected:
        raise FlowError(f"these values cannot be written into params.yaml: {dict(changes)}")
    return text


def _find_values(text: str) -> dict[str, tuple[int, int]]:
    """Finds where the value of each `section.key` begins and ends."""
    root = yaml.compose(text, yaml.SafeLoader)
    assert root is not None  # it has been read before
    return {
        f"{section.value}.{key.value}": (value.start_mark.index, _end(value))
        for section, keys in root.value
        for key, value in keys.value
    }


def _end(node: yaml.Node) -> int:
    """Returns where a value ends; PyYAML counts what follows an indented block to it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _word(value: object) -> str:
    """Writes a value on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"))
    return text.removesuffix("...\n").strip("\n")


def _read(text: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None
