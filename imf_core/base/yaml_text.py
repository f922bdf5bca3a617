"""YAML read as DVC writes it; a mistake is one plain sentence with line, cause and remedy."""

import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node

from imf_core.base.errors import ConfigError

_CONFLICT = re.compile(r"(?m)^(<{7}|={7}|>{7})(?= |$)")

_YAML_CAUSES = (
    (r"found character '\\t'", "a tab where the indentation is; indent by spaces"),
    (r"cannot start any token", "a value that starts with a special character; quote it"),
    (
        r"mapping values are not allowed",
        "a colon too many, a wrong indentation or a line above without its colon; quote a value "
        "that holds ': ', and indent the keys of a section by two spaces",
    ),
    (r"quoted scalar", "a quotation mark without its partner, here or above; add it"),
    (
        r"expected <block end>|block collection",
        "the line is indented otherwise than those above; indent the keys of a section by two "
        "spaces",
    ),
    (r"could not find expected ':'", "no colon with a space behind it; write key: value"),
    (r"flow (sequence|mapping)", "a bracket without its partner; close it"),
    (r"unhashable key", "a key must be one word"),
    (r"constructor for the tag|alias", "a value that starts with !, & or *; quote it"),
)
"""What the parser says of a mistake, and what it is."""


class _Constructor(SafeConstructor):
    """Reads words as they are: no dates, and no key twice."""

    def check_mapping_key(
        self,
        node: MappingNode,
        key_node: Node,
        mapping: Any,
        key: Any,
        value: Any,  # noqa: ARG002 - of the parent class
    ) -> bool:
        """Refuses a repeated key; the message has both lines."""
        if key in mapping:
            first = next(each for each, _ in node.value if each.value == key_node.value)
            line = first.start_mark.line + 1
            problem = f"key {key} occurs twice, first in line {line}; delete one"
            raise ConstructorError("in a mapping", node.start_mark, problem, key_node.start_mark)
        return True


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)


def read_yaml(text: str) -> Any:
    """Reads YAML 1.2 as DVC does, but for dates, which stay strings.

    By YAML 1.1 `1e-05`, which DVC writes for `dvc exp run -S train.n3=0.00001`, would be a string,
    and the language `no` would be false.

    Raises:
        YAMLError: If it is malformed, or a key occurs twice.
    """
    yaml = YAML(typ="safe", pure=True)  # pure: the errors of the C library have no context
    yaml.Constructor = _Constructor
    return yaml.load(text)


def parse_yaml(text: str, source: str) -> Any:
    """Reads YAML that a person has written, as `read_yaml`.

    Args:
        text: The YAML.
        source: Where it comes from, for the message.

    Raises:
        ConfigError: If it is malformed; the message names line, cause and remedy.
    """
    try:
        return read_yaml(text)
    except YAMLError as error:
        reason = find_conflict(text) or describe_yaml_error(error)
        raise ConfigError(f"{source} is not valid YAML, {reason}") from error


def find_conflict(text: str) -> str:
    """Says where Git has left a merge conflict; "" where there is none."""
    found = _CONFLICT.search(text)
    if found is None:
        return ""
    line = text.count("\n", 0, found.start()) + 1
    return f"line {line}: a conflict marker of Git ({found[0]}); settle the conflict"


def describe_yaml_error(error: YAMLError) -> str:
    """Says which line is no YAML, why, and what to write."""
    problem = str(getattr(error, "problem", None) or error)
    context = str(getattr(error, "context", None) or "")
    mark = getattr(error, "problem_mark", None)
    begun = getattr(error, "context_mark", None)
    if begun is not None and re.search(r"simple key|quoted scalar|flow", context):
        mark = begun  # the problem shows further down
    known = f"{context}, {problem}"
    cause = next((ours for words, ours in _YAML_CAUSES if re.search(words, known)), problem)
    return (f"line {mark.line + 1}: " if mark is not None else "") + " ".join(cause.split())


def describe_byte_error(error: UnicodeDecodeError) -> str:
    """Says which line holds a byte that is not UTF-8."""
    line = error.object.count(b"\n", 0, error.start) + 1
    byte = error.object[error.start]
    return f"line {line}: byte 0x{byte:02x} is not UTF-8; save the file with the encoding UTF-8"
