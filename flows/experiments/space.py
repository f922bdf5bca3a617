"""The values of a sweep by key, checked before anything starts."""

import json
import math
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Annotated, Any, Literal, cast, get_args, get_origin

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from flows.errors import FlowError
from flows.experiments.form import check_values
from flows.experiments.run_experiment import apply_changes
from imf_core.base.config import Params
from imf_core.base.sections import Auto

_MOST_CHECKED = 5_000
"""Largest number of values of a range that are checked one by one."""

_MOST_COMBINATIONS = 100_000

_NOT_SWEPT = {
    "dataset": "it changes the facts that trials are selected by",
    "prepare": "it changes the facts that trials are selected by",
    "evaluate": "it comes after training, where a trial ends",
    "predict": "it comes after training, where a trial ends",
}


Number = Annotated[int | float, WithJsonSchema({"type": "number", "title": "number"})]
"""One kind of field in a form: a browser does not distinguish 3 and 3.0."""

Words = Annotated[list[str], Field(title="list of words")]
File = Annotated[dict[str, str], Field(title="path and sha256 of a file")]
Value = Number | bool | str | Words | File | None
"""A value of a key of params.yaml; a form has one kind of field for each type."""


class Choice(BaseModel):
    """A key with a list of values."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(title="key", description="`section.key` of params.yaml")
    values: list[Value] = Field(title="values", min_length=1, description="values to try")


class Range(BaseModel):
    """A key with a range of numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    key: str = Field(title="key", description="`section.key` of params.yaml")
    low: float = Field(title="low", description="smallest value")
    high: float = Field(title="high", description="largest value")
    log: bool = Field(False, title="log", description="as likely between 1 and 10 as 10 and 100")
    step: float | None = Field(
        None, title="step", description="between values; grid needs one unless the key is an int"
    )


Space = Sequence[Choice | Range]


def check_space(space: Space, base: Mapping[str, Any]) -> None:
    """Checks every value of the space, each with the present values of all other keys.

    Raises:
        FlowError: If a key is unknown, given twice or not allowed in a sweep, or a value has the
            wrong type or is out of bounds.
    """
    if not space:
        raise FlowError("space is empty; give at least one key with its values")
    keys = [dimension.key for dimension in space]
    if repeated := sorted({key for key in keys if keys.count(key) > 1}):
        raise FlowError(f"space gives {', '.join(repeated)} more than once")
    for dimension in space:
        section = dimension.key.partition(".")[0]
        if section in _NOT_SWEPT:
            raise FlowError(f"space: {dimension.key} cannot be swept: {_NOT_SWEPT[section]}")
        if isinstance(dimension, Choice):
            _check_choice(dimension)
            for value in dimension.values:
                _check_value(dimension.key, value, base)
        else:
            for end in (dimension.low, dimension.high):
                _check_value(dimension.key, _number(dimension.key, end), base)
            _check_range(dimension)
            _check_between(dimension, base)


def _check_value(key: str, value: Value, base: Mapping[str, Any]) -> None:
    """Checks a value with the present values of all other keys."""
    check_values(apply_changes(base, {key: value}), "space")


def _check_choice(choice: Choice) -> None:
    """Checks that no value is given twice; it would be trained twice."""
    words = [json.dumps(_plain(value)) for value in choice.values]
    if repeated := sorted({word for word in words if words.count(word) > 1}):
        raise FlowError(f"space: values of {choice.key} repeat {', '.join(repeated)}")


def _plain(value: Value) -> Value:
    """Returns a number without a fraction as an int."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _check_between(dimension: Range, base: Mapping[str, Any]) -> None:
    """Checks the values between the ends of a range; some may be forbidden."""
    if dimension.step is None and _type_of(dimension.key) != "int":
        return  # bounds alone decide for floats without a step
    values = _all_values(dimension)[:_MOST_CHECKED]
    refused = []
    for value in values:
        try:
            _check_value(dimension.key, value, base)
        except FlowError as error:
            refused.append((value, error))
    if not refused:
        return
    key, low, high = dimension.key, dimension.low, dimension.high
    bad = {value for value, _ in refused}
    start = values[0]
    fitting = (step for step in range(2, 65) if bad.isdisjoint(values[::step]))
    step = next((step for step in fitting if step < len(values)), None)
    remedy = (
        f"give a step of {step * (dimension.step or 1):g}, as from {start:g}"
        if step and not dimension.log
        else "list the values that are allowed"
    )
    raise FlowError(
        f"{refused[0][1]}; of the {len(values)} values of {key} from {low:g} to {high:g}, "
        f"{len(refused)} are refused; {remedy}"
    )


def make_distributions(space: Space) -> dict[str, BaseDistribution]:
    """Returns the space for Optuna; choices are JSON, since Optuna accepts no lists."""
    return {dimension.key: _distribution(dimension) for dimension in space}


def list_grid(space: Space) -> dict[str, list[Any]]:
    """Returns all values of each key for Optuna.

    Raises:
        FlowError: If a range of floats has no step.
    """
    return {dimension.key: _all_values(dimension) for dimension in space}


def count_grid(space: Space) -> int:
    """Returns the number of combinations of all values.

    Raises:
        FlowError: If there are too many to list, or a range has no step.
    """
    count = math.prod(map(len, list_grid(space).values()))
    if count > _MOST_COMBINATIONS:
        raise FlowError(
            f"space: a grid must have at most {_MOST_COMBINATIONS:,} combinations, got "
            f"{count:,} or more; give larger steps or take another sampler"
        )
    return count


def read_suggestion(space: Space, suggested: Mapping[str, Any]) -> dict[str, Any]:
    """Turns a suggestion of Optuna into values by `section.key`."""
    return {
        dimension.key: json.loads(suggested[dimension.key])
        if isinstance(dimension, Choice)
        else suggested[dimension.key]
        for dimension in space
    }


def _distribution(dimension: Choice | Range) -> BaseDistribution:
    if isinstance(dimension, Choice):
        return CategoricalDistribution([json.dumps(value) for value in dimension.values])
    low, high = dimension.low, dimension.high
    if _type_of(dimension.key) == "int":
        return IntDistribution(int(low), int(high), dimension.log, int(dimension.step or 1))
    return FloatDistribution(low, high, dimension.log, dimension.step)


def _all_values(dimension: Choice | Range) -> list[Any]:
    if isinstance(dimension, Choice):
        return [json.dumps(value) for value in dimension.values]
    step = dimension.step or (1.0 if _type_of(dimension.key) == "int" else None)
    if step is None:
        raise FlowError(
            f"space: {dimension.key} has no step, so its grid is infinite; give a step or a "
            "list of values, or take another sampler"
        )
    steps = min(_count_steps(dimension), _MOST_COMBINATIONS)
    values = [round(dimension.low + number * step, 12) for number in range(steps + 1)]
    return [_number(dimension.key, value) for value in values]


def _number(key: str, number: float) -> float:
    """Turns a number of a form into an int if the key is an int."""
    return int(number) if _type_of(key) == "int" and number.is_integer() else number


def _check_range(dimension: Range) -> None:
    """Checks the ends and the step of a range."""
    key, low, high, step = dimension.key, dimension.low, dimension.high, dimension.step
    kind = _type_of(key)
    if kind == "other":
        raise FlowError(f"space: {key} is no number; list its values instead of a range")
    if low > high:
        raise FlowError(f"space: low of {key} must be at most its high {high}, got {low}")
    if dimension.log and low <= 0:
        raise FlowError(f"space: low of {key} must be above 0 where log is true, got {low}")
    if dimension.log and step is not None:
        raise FlowError(f"space: {key} takes a step or log, not both")
    if step is not None and (step <= 0 or (kind == "int" and not step.is_integer())):
        above = "an int of at least 1" if kind == "int" else "above 0"
        raise FlowError(f"space: step of {key} must be {above}, got {step}")
    if step is not None and not math.isclose(last := low + step * _count_steps(dimension), high):
        raise FlowError(
            f"space: the steps of {key} from {low:g} by {step:g} do not reach its high {high:g}; "
            f"give high {last:g} or {last + step:g}"
        )


def _count_steps(dimension: Range) -> int:
    """Returns the number of steps in a range."""
    return int((dimension.high - dimension.low) / (dimension.step or 1) + 1e-9)


def _type_of(key: str) -> Literal["int", "float", "other"]:
    """Returns the type of a key's numbers; the key may take `auto` or null as well."""
    section, _, name = key.partition(".")
    known = Params.model_fields.get(section)
    field = cast(type[BaseModel], known.annotation).model_fields.get(name) if known else None
    if field is None:
        return "other"
    alternatives = get_args(field.annotation) or (field.annotation,)
    types = {get_args(each)[0] if get_origin(each) is Annotated else each for each in alternatives}
    numbers = types & {int, float}
    if len(numbers) != 1 or types - numbers - {NoneType, get_args(Auto)[0]}:
        return "other"
    return "int" if numbers == {int} else "float"
