"""Plain sentences about mistakes in `params.yaml` and in other files with typed values.

In: an error of PyYAML, or one of pydantic's errors and the model that it is about. Out: a sentence
with key or line, value, what is allowed and, where it can be known, the remedy.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args

import yaml
from pydantic import BaseModel

SHA256_PATTERN = r"^[0-9a-f]{64}$"
LANGUAGE_PATTERN = r"^[a-z]{2,3}(-[a-z]+)*$"

_HASH_COMMAND = "`sha256sum FILE` or `shasum -a 256 FILE` prints the hash"
_PLACEHOLDERS = {"path": "FILE", "sha256": "HASH"}
_PATTERNS = {
    SHA256_PATTERN: f"64 digits 0-9 and a-f; {_HASH_COMMAND}",
    LANGUAGE_PATTERN: "the code of a language in small letters, such as en or zh-hans",
}
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
    (r"constructor for the tag|alias", "a value that starts with !, & or *; quote it"),
)
"""What PyYAML says of a mistake, and what it is."""


def find_conflict(text: str) -> str:
    """Says where Git has left a merge conflict; "" where there is none."""
    found = _CONFLICT.search(text)
    if found is None:
        return ""
    line = text.count("\n", 0, found.start()) + 1
    return f"line {line}: a conflict marker of Git ({found[0]}); settle the conflict"


def describe_yaml_error(error: yaml.YAMLError) -> str:
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


def describe_value_error(error: Any, path: Sequence[int | str], model: type[BaseModel]) -> str:
    """Formats one of pydantic's errors for the author of the file.

    Args:
        error: As in `ValidationError.errors()`.
        path: Of the key.
        model: The whole model.
    """
    key = ".".join(str(part) for part in path) or "the file"
    match error["type"]:
        case "extra_forbidden" | "invalid_key":
            return f"unknown key {key}" + _nearest(key, model)
        case "missing":
            return f"key {key} is missing; add it" + _meaning(path, model)
        case "value_error":
            return str(error["ctx"]["error"])
    return f"{key} must {_expected(error, path, model)}, got {error['input']!r}"


def _expected(error: Any, path: Sequence[int | str], model: type[BaseModel]) -> str:
    """Says what a value must be, with an example near to it where there is one."""
    value, bounds = error["input"], error.get("ctx", {})
    match error["type"]:
        case "too_short":
            wanted = f"list at least {bounds['min_length']}"
        case "string_too_short":
            least = bounds["min_length"]
            wanted = f"have at least {least} character{'s' * (least > 1)}"
        case "string_pattern_mismatch":
            wanted = f"be {_PATTERNS.get(bounds['pattern'], 'of the form ' + bounds['pattern'])}"
        case "model_type":
            wanted = _expected_section(path, model)
        case "list_type":
            is_word = isinstance(value, str) and value != ""
            wanted = "be a list in square brackets" + (f", such as [{value}]" if is_word else "")
        case "bool_type":
            wanted = "be true or false"
        case "string_type" if isinstance(value, int | float):
            wanted = f"be a string, such as '{str(value).lower()}' in quotation marks"
        case "int_type" if isinstance(value, float) and value.is_integer():
            wanted = f"be an integer, such as {int(value)}"
        case _:
            wanted = error["msg"].replace("Input should ", "").replace("a valid int", "an int")
            wanted = wanted.replace("a valid", "a")
    return wanted


def _nearest(key: str, model: type[BaseModel]) -> str:
    """Names the keys that may be meant: those of this name in other sections, or the nearest."""
    keys = list(_keys(model))
    last = key.rpartition(".")[2]
    near = [each for each in keys if each.rpartition(".")[2] == last and "." in each]
    near = near or difflib.get_close_matches(key, keys, n=1)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _meaning(path: Sequence[int | str], model: type[BaseModel]) -> str:
    """Returns the description of a missing key, the keys of a missing section, or ""."""
    for part in path[:-1]:
        inner = _section(model, str(part))
        if inner is None:
            return ""
        model = inner
    if section := _section(model, str(path[-1])):
        return f" (a section with the keys {', '.join(section.model_fields)})"
    field = model.model_fields.get(str(path[-1]))
    return f" ({field.description})" if field and field.description else ""


def _expected_section(path: Sequence[int | str], model: type[BaseModel]) -> str:
    """Describes a section by its keys; one within another is written in braces."""
    inner: type[BaseModel] | None = model
    for part in path:
        inner = _section(inner, str(part)) if inner else None
    if inner is None:
        return "be a section of keys"
    names = list(inner.model_fields)
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    if not path:
        return f"hold sections ({shown}), each with its keys indented below it"
    if len(path) == 1:
        return f"be a section with the keys {shown}, each on its own line as key: value"
    form = ", ".join(f"{name}: {_PLACEHOLDERS.get(name, name.upper())}" for name in names)
    hint = f" ({_HASH_COMMAND})" if "sha256" in names else ""
    return f"be null or {{{form}}}{hint}"


def _section(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """Returns the model of a section, None where the key is no section."""
    field = model.model_fields.get(name)
    if field is None:
        return None
    kinds = [field.annotation, *get_args(field.annotation)]
    sections = [each for each in kinds if isinstance(each, type) and issubclass(each, BaseModel)]
    return sections[0] if sections else None


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yields the dotted keys of a model tree."""
    for name in model.model_fields:
        yield prefix + name
        if inner := _section(model, name):
            yield from _keys(inner, f"{prefix}{name}.")
