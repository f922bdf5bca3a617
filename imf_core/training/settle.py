"""Replaces every `auto` in the parameters by its chosen value."""

from collections.abc import Mapping
from typing import Any

from imf_core.base.config import (
    ModelParams,
    ModelSettings,
    Params,
    SettledParams,
    TrainParams,
    TrainSettings,
)
from imf_core.base.sections import AUTO, validate

Values = Mapping[str, Any]
"""Chosen values by `section.key`."""


def find_auto(model: ModelSettings, train: TrainSettings) -> list[str]:
    """Lists the keys that need a chosen value, as `section.key`.

    `train.patience` is never listed: the trainer itself interprets `auto` there.
    """
    settings = {"model": (model, ModelParams), "train": (train, TrainParams)}
    return [
        f"{section}.{key}"
        for section, (given, settled) in settings.items()
        for key in settled.__annotations__  # the keys that cannot be `auto` there
        if getattr(given, key) == AUTO
    ]


def settle(params: Params, values: Values) -> SettledParams:
    """Returns all parameters with every `auto` replaced.

    Raises:
        ConfigError: If a value is missing, or is out of its bounds.
    """
    sections = {name: getattr(params, name) for name in Params.model_fields}
    settled = {
        "model": settle_model(params.model, values),
        "train": settle_train(params.train, values),
    }
    return SettledParams(**(sections | settled))


def settle_model(model: ModelSettings, values: Values) -> ModelParams:
    """Returns the section `model` with every `auto` replaced.

    Raises:
        ConfigError: If a value is missing, or is out of its bounds.
    """
    return validate(ModelParams, _fill("model", model.model_dump(), values), "the chosen values")


def settle_train(train: TrainSettings, values: Values) -> TrainParams:
    """Returns the section `train` with every `auto` replaced; see `settle_model`."""
    return validate(TrainParams, _fill("train", train.model_dump(), values), "the chosen values")


def _fill(section: str, given: Mapping[str, Any], values: Values) -> dict[str, Any]:
    return {
        key: values.get(f"{section}.{key}", value) if value == AUTO else value
        for key, value in given.items()
    }
