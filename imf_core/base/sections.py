"""Sections of typed values: their base, and the check of what a file holds.

A mistake is one plain sentence with key, value, the allowed values and, where it is known, the
remedy.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imf_core.base.errors import ConfigError

SHA256_PATTERN = r"^[0-9a-f]{64}$"
LANGUAGE_PATTERN = r"^[a-z]{2,3}(-[a-z]+)*$"

_HASH_COMMAND = "`sha256sum FILE` or `shasum -a 256 FILE` prints the hash"
_PLACEHOLDERS = {"path": "FILE", "sha256": "HASH"}
_PATTERNS = {
    SHA256_PATTERN: f"64 digits 0-9 and a-f; {_HASH_COMMAND}",
    LANGUAGE_PATTERN: "the code of a language in small letters, such as en or zh-hans",
}


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


AUTO: Literal["auto"] = "auto"
"""Value of a key that the stage `tune` chooses for the graph."""
Auto = Annotated[Literal["auto"], Field(title="auto", description="chosen for the graph")]


_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
}
"""Words for the bounds of a JSON schema, which a form checks but does not show."""


def describe_bounds(schema: dict[str, Any]) -> None:
    """Prepares a section's JSON schema for a form: keys as titles, bounds in words."""
    for key, field in schema["properties"].items():
        kinds = field.get("anyOf", [field])
        bounds = [
            words.format(_format_number(kind[name]))
            for kind in kinds
            for name, words in _BOUNDS.items()
            if name in kind
        ]
        is_chosen = any(kind.get("const") == AUTO for kind in kinds)
        parts = [field.get("description"), ", ".join(bounds), is_chosen and f"or {AUTO}"]
        field["title"] = key
        field["description"] = "; ".join(part for part in parts if part)


def _describe_form(schema: dict[str, Any]) -> None:
    """Describes the bounds in a form, which may leave keys out; a file of parameters may not.

    A browser sends no key for an empty field, such as an empty text or list.
    """
    describe_bounds(schema)
    del schema["required"]


def _format_number(number: float) -> str:
    """Formats a bound: 1024, 0.4, 2^62."""
    is_power = isinstance(number, int) and number > 2**31 and number.bit_count() == 1
    return f"2^{int(number).bit_length() - 1}" if is_power else f"{number:.12g}"


class Section(BaseModel):
    """Base of all sections: frozen, no unknown keys, no silent conversion of strings."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        json_schema_extra=_describe_form,
    )


ModelT = TypeVar("ModelT", bound=BaseModel)


def validate(model: type[ModelT], raw: object, source: str) -> ModelT:
    """Checks `raw` against `model`; an error names source, key, value and bound.

    Raises:
        ConfigError: If there is at least one error; the message lists all.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        errors = [
            _describe(each, model) for each in error.errors() if each["loc"][-1:] != (_AUTO_TAG,)
        ]
        raise ConfigError("\n".join(f"{source}: {each}" for each in errors)) from error


_AUTO_TAG = f"literal['{AUTO}']"
_ALTERNATIVE = re.compile(r"constrained-|list\[")
"""Parts of pydantic's path that name the alternative to `auto`."""


def _describe(error: Any, model: type[BaseModel]) -> str:
    """Formats one pydantic error for the author of the file."""
    path = tuple(part for part in error["loc"] if not _ALTERNATIVE.match(str(part)))
    if path != error["loc"] and error["loc"][-1] != path[-1]:
        alternative = _describe({**error, "loc": path}, model)
        return alternative.replace(", got ", f", or {AUTO}, got ", 1)
    return describe_value_error(error, path, model)
