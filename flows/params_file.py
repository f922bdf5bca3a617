"""Writes values into the text of a params.yaml and leaves all else as it stands, comments too.

DVC's own `--set-param` is not used for this: it writes 0.00001 as `1e-05` and the word yes without
quotes, which the stages' YAML reads as a string and as true.
"""

from collections.abc import Mapping
from dataclasses import dataclass
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
    places = _find_places(text)
    for key in sorted(changes, key=lambda key: places[key].start, reverse=True):
        place = places[key]
        text = (
            text[: place.start]
            + place.before
            + _word(changes[key])
            + place.after
            + text[place.end :]
        )
        section, name = key.split(".")
        expected[section][name] = changes[key]
    if _read(text) != expected:
        raise FlowError(f"these values cannot be written into params.yaml: {dict(changes)}")
    return text


@dataclass(frozen=True)
class _Place:
    """Where a value stands, from `start` to `end`, and what stays around another in its place."""

    start: int
    end: int
    before: str
    after: str


def _find_places(text: str) -> dict[str, _Place]:
    """Finds where the value of each `section.key` stands."""
    root = yaml.compose(text, yaml.SafeLoader)
    assert root is not None  # it has been read before
    return {
        f"{section.value}.{key.value}": _find_place(text, key, value)
        for section, keys in root.value
        for key, value in keys.value
    }


def _find_place(text: str, key: yaml.Node, value: yaml.Node) -> _Place:
    """Finds where one value stands."""
    start = int(value.start_mark.index)
    if value.start_mark.line == key.end_mark.line:
        return _Place(start, _end(value), "" if text[start - 1].isspace() else " ", "")
    # A block of lines below the key, whose own line may end in a comment.
    colon = text.index(":", key.end_mark.index)
    rest_of_line = text[colon + 1 : text.index("\n", colon)]
    return _Place(colon + 1, _end(value), " ", rest_of_line)


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
