"""The space of a sweep: every value is checked before anything starts."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from tiny_world import ROOT

from flows.errors import FlowError
from flows.experiments.space import Choice, Range, Space, check_space, count_grid, list_grid
from flows.sweep import sweep

BASE: Mapping[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "space",
    [
        [Choice(key="fusion.rank", values=[1, 1024])],
        [Range(key="fusion.rank", low=1, high=1024)],
        [Range(key="train.n3", low=1e-6, high=1.0, log=True)],
        [Choice(key="model.modalities", values=[["structure"], ["structure", "text"]])],
        [Choice(key="image_features.precomputed", values=[None])],
        [Choice(key="image_features.precomputed", values=[{"path": "a.npy", "sha256": "0" * 64}])],
        [Choice(key="model.encoder_dim", values=[None, "auto", 32])],
        [Choice(key="train.n3", values=["auto", 0, 0.5])],
        [Choice(key="fusion.detach", values=[True, False])],
        [Choice(key="train.processes", values=[1, 2])],
        [Range(key="model.dim", low=64, high=256, step=2)],
        [Range(key="model.encoder_dim", low=16, high=64, step=16)],
        [Range(key="model.dim", low=64, high=64)],
        [Range(key="fusion.rank", low=1, high=64, log=True)],
        [Range(key="train.n3", low=0.1, high=0.7, step=0.2)],
        [Range(key="tune.seed", low=0, high=2**40)],
    ],
)
def test_what_params_allow_may_be_tried(space: Space) -> None:
    check_space(space, BASE)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ([], "space is empty"),
        ([Choice(key="fusion.rnk", values=[1])], "fusion.rnk; did you mean fusion.rank"),
        ([Choice(key="fuson.rank", values=[1])], "unknown key fuson; did you mean fusion"),
        ([Choice(key="rank", values=[1])], "unknown key rank"),
        ([Choice(key="fusion.rank", values=[3, -1])], "fusion.rank must be greater .* got -1"),
        ([Choice(key="fusion.rank", values=["3"])], "fusion.rank must be an integer, got '3'"),
        ([Range(key="fusion.rank", low=-1, high=3)], "fusion.rank must be greater .* got -1"),
        ([Range(key="fusion.rank", low=1, high=2000)], "fusion.rank must be less .* got 2000"),
        ([Range(key="fusion.rank", low=3, high=1)], "low of fusion.rank must be at most"),
        ([Range(key="fusion.rank", low=1, high=3, step=0.5)], "step of fusion.rank must be an int"),
        ([Range(key="train.n3", low=0.0, high=1.0, log=True)], "above 0 where log is true"),
        ([Range(key="train.n3", low=0.1, high=1.0, log=True, step=0.1)], "step or log, not both"),
        ([Range(key="fusion.detach", low=0, high=1)], "fusion.detach must be true or false"),
        ([Choice(key="model.dim", values=[15])], "model.dim must be even"),
        ([Choice(key="prepare.seed", values=[1])], "prepare.seed cannot be swept: .* selected by"),
        ([Choice(key="predict.top_k", values=[1])], "predict.top_k cannot be swept: .* training"),
        (
            [Range(key="model.dim", low=64, high=256)],
            "model.dim must be even .* got 65; of the 193 values .* 96 are refused; "
            "give a step of 2, as from 64",
        ),
        (
            [Range(key="model.encoder_dim", low=16, high=64)],
            "encoder_dim must be even .* step of 2",
        ),
        ([Range(key="model.dim", low=16, high=256, log=True)], "got 17; .* list the values"),
        ([Range(key="model.dim", low=64, high=256, step=3)], "dim must be even .* step of 6"),
        ([Range(key="model.dim", low=65, high=257)], "model.dim must be even .* got 65"),
        (
            [Range(key="fusion.rank", low=1, high=10, step=4)],
            "do not reach its high 10; .*9 or 13",
        ),
        (
            [Range(key="train.n3", low=0.1, high=1, step=0.4)],
            "do not reach .* give high 0.9 or 1.3",
        ),
        ([Range(key="fusion.rank", low=1.5, high=3)], "fusion.rank must be an int"),
        ([Range(key="train.n3", low=1, high=-1)], "train.n3 must be greater"),
        ([Range(key="train.n3", low=0.5, high=0.1)], "low of train.n3 must be at most its high"),
        ([Range(key="fusion.rank", low=1, high=3, step=0)], "step of fusion.rank must be an int"),
        ([Choice(key="fusion.rank", values=[1, 3, 1.0])], "values of fusion.rank repeat 1"),
        (
            [Choice(key="fusion.rank", values=["auto"])],
            "must be an integer, got 'auto'",
        ),
        ([Choice(key="fusion.rank", values=[None])], "fusion.rank must be an integer, got None"),
        ([Choice(key="fusion.detach", values=[1])], "fusion.detach must be true or false, got 1"),
        ([Choice(key="fusion.rank", values=[1])] * 2, "fusion.rank more than once"),
    ],
)
def test_what_params_refuse_is_named(space: Space, message: str) -> None:
    with pytest.raises(FlowError, match=message):
        check_space(space, BASE)


def test_a_grid_has_all_combinations() -> None:
    ranks = Range(key="fusion.rank", low=1, high=7, step=3)
    weights = Range(key="train.n3", low=0.1, high=0.3, step=0.1)
    assert list_grid([ranks, weights]) == {"fusion.rank": [1, 4, 7], "train.n3": [0.1, 0.2, 0.3]}
    assert count_grid([ranks, weights, Choice(key="fusion.detach", values=[True, False])]) == 18


def test_a_grid_of_a_range_without_a_step_is_refused() -> None:
    with pytest.raises(FlowError, match=r"train\.n3 has no step"):
        count_grid([Range(key="train.n3", low=0.1, high=0.3)])


def test_a_grid_of_too_many_combinations_is_refused_at_once() -> None:
    seeds = Range(key="train.seed", low=0, high=2**40)
    with pytest.raises(FlowError, match="at most 100,000 combinations"):
        count_grid([seeds, Choice(key="fusion.rank", values=[1, 2])])


@pytest.mark.parametrize("low", [float("nan"), float("-inf")])
def test_a_range_without_an_end_is_refused(low: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        Range(key="train.n3", low=low, high=1.0)


def test_a_choice_without_values_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        Choice(key="train.n3", values=[])


VALUES: list[Any] = [
    3,
    0.5,
    True,
    "auto",
    None,
    ["structure", "text"],
    {"path": "a", "sha256": "0"},
]


def test_every_value_keeps_its_type_on_its_way_through_a_form() -> None:
    choice = Choice(key="any", values=VALUES)
    assert choice.model_dump()["values"] == VALUES
    assert [type(value) for value in choice.values] == [type(value) for value in VALUES]


def test_every_kind_of_value_has_a_field_of_its_own_in_the_form() -> None:
    definitions = sweep.parameters.model_dump()["definitions"]
    kinds = definitions["Choice"]["properties"]["values"]["items"]["anyOf"]
    assert [kind["type"] for kind in kinds] == [
        "number",
        "boolean",
        "string",
        "array",
        "object",
        "null",
    ]
