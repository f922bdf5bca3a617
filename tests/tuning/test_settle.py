"""Chosen values replace `auto`, and nothing else."""

from pathlib import Path

import pytest
from tiny_world import small_params

from imf_core.base.artifacts import write_json
from imf_core.base.config import ModelParams, Params, TrainParams
from imf_core.base.errors import ConfigError
from imf_core.base.sections import AUTO
from imf_core.training.settle import find_auto, settle, settle_model, settle_train
from stages.paths import CHOSEN
from stages.training import read_chosen

KEYS = [
    *(f"model.{key}" for key in ModelParams.__annotations__),
    *(f"train.{key}" for key in TrainParams.__annotations__),
]
"""Keys that may be `auto` until the stage `tune` has chosen."""


def params_with_auto(*keys: str) -> Params:
    """Small parameters in which some keys are `auto`."""
    raw = small_params().model_dump()
    for dotted in keys:
        section, _, key = dotted.partition(".")
        raw[section][key] = AUTO
    return Params.model_validate(raw)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_is_auto_is_listed(key: str) -> None:
    params = params_with_auto(key)
    assert find_auto(params.model, params.train) == [key]


def test_without_auto_nothing_is_listed() -> None:
    params = small_params()
    assert find_auto(params.model, params.train) == []


def test_the_trainer_and_the_machine_know_themselves_what_auto_means() -> None:
    params = params_with_auto("train.patience", "train.device", "evaluate.device")
    assert find_auto(params.model, params.train) == []
    assert settle_train(params.train, {}).patience == AUTO


def test_an_encoder_size_of_null_is_a_value() -> None:
    params = params_with_auto()
    assert params.model.encoder_dim is None
    assert settle_model(params.model, {"model.encoder_dim": 4}).encoder_dim is None


def test_a_value_given_by_hand_stands() -> None:
    params = params_with_auto("model.dim")
    chosen = {"model.dim": 32, "model.hidden_dim": 64, "train.n3": 0.5}
    settled = settle(params, chosen)
    given = small_params()
    assert (settled.model.dim, settled.model.hidden_dim) == (32, given.model.hidden_dim)
    assert settled.train == given.train


def test_a_zero_given_by_hand_stands() -> None:
    given = small_params({"train.n3": 0.0}).train
    assert settle_train(given, {"train.n3": 0.1}).n3 == 0.0


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model.dim", 7, "model.dim must be even"),
        ("model.dropout", 1.0, "dropout must be less than 1, got 1.0"),
        ("train.batch_size", 0, "batch_size must be greater than or equal to 1, got 0"),
    ],
)
def test_a_chosen_value_out_of_its_bounds_is_named(key: str, value: float, message: str) -> None:
    with pytest.raises(ConfigError, match=f"the chosen values: {message}"):
        settle(params_with_auto(key), {key: value})


@pytest.mark.parametrize("key", ["model.dim", "train.n3"])
def test_a_missing_value_is_named(key: str) -> None:
    with pytest.raises(ConfigError, match=f"the chosen values: {key.partition('.')[2]} must be"):
        settle(params_with_auto(key), {})


@pytest.mark.usefixtures("in_a_folder")
def test_a_missing_value_is_named_with_its_file_and_the_remedy() -> None:
    params = params_with_auto("model.dim", "train.n3")
    write_json(CHOSEN, {"model.dim": 8})
    with pytest.raises(
        ConfigError, match=r"chosen\.json has no value for train\.n3, .* run `dvc repro tune`"
    ):
        read_chosen(params.model, params.train)


@pytest.mark.usefixtures("in_a_folder")
def test_chosen_values_are_read_where_some_key_is_auto() -> None:
    params = params_with_auto("train.n3")
    write_json(CHOSEN, {"train.n3": 0.1})
    assert read_chosen(params.model, params.train) == {"train.n3": 0.1}


@pytest.mark.usefixtures("in_a_folder")
def test_no_file_is_read_where_every_value_is_given() -> None:
    params = small_params()
    assert read_chosen(params.model, params.train) == {}


@pytest.fixture
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
