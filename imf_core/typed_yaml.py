"""Typed YAML: the base of all sections of parameters, and files read and checked against them.

YAML is read as DVC writes it. A mistake is a plain sentence (`config_errors`).
"""

import re
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imf_core.config_errors import describe_value_error, describe_yaml_error, find_conflict
from imf_core.errors import ConfigError

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


class _Loader(yaml.SafeLoader):
    """Reads plain scalars by the core schema of YAML 1.2, which DVC writes: `yes` is a string.

    By YAML 1.1, which PyYAML follows, `1e-05`, which DVC writes for `dvc exp run -S
    train.n3=0.00001`, would be a string, and the language `no` would be false. A key that occurs
    twice is an error.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuses a repeated key; PyYAML would keep its last value."""
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    "in a mapping", node.start_mark, "a key must be one word", key.start_mark
                )
            if key.value in lines:
                raise yaml.constructor.ConstructorError(
                    "in a mapping",
                    node.start_mark,
                    f"key {key.value} occurs twice, first in line {lines[key.value]}; delete one",
                    key.start_mark,
                )
            lines[str(key.value)] = key.start_mark.line + 1
        return dict(super().construct_mapping(node, deep))


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})$"), _first
    )
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))


def read_yaml(text: str) -> Any:
    """Reads YAML as DVC writes it, see `_Loader`.

    Raises:
        yaml.YAMLError: If it is malformed.
    """
    return yaml.load(text, _Loader)


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
    except yaml.YAMLError as error:
        reason = find_conflict(text) or describe_yaml_error(error)
        raise ConfigError(f"{source} is not valid YAML, {reason}") from error


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
