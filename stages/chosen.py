"""Reads the values chosen by the stage `tune`."""

from imf_core.artifacts import read_json
from imf_core.config import ModelSettings, TrainSettings
from imf_core.errors import ConfigError
from imf_core.tuning.settle import Values, find_auto
from stages.layout import CHOSEN


def read_chosen(model: ModelSettings, train: TrainSettings) -> Values:
    """Reads a value for every `auto` from `results/tuning/chosen.json`.

    Args:
        model: Section `model` of the parameters.
        train: Section `train` of the parameters.

    Raises:
        ConfigError: If the file lacks a value.
        DataError: If the file is missing or damaged.
    """
    wanted = find_auto(model, train)
    values: Values = read_json(CHOSEN) if wanted else {}
    if missing := [key for key in wanted if key not in values]:
        raise ConfigError(
            f"{CHOSEN} has no value for {', '.join(missing)}, which params.yaml sets to `auto`; "
            "run `dvc repro tune`, or set a value"
        )
    return values
