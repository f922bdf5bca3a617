"""What a sweep may try: every value is checked before anything starts."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from tiny_world import ROOT

from flows.faults import FlowError
from flows.sweeps.space import Choice, Range, Space, check_space, count_grid, list_grid

BASE: Mapping[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "space",
    [
        [Choice(key="fusion.rank", values=[1, 1024])],
        [Range(key="fusion.rank", low=1, high=1024)],
        [Range(key="train.n3", low=1e-6, high=1.0, log=True)],
        [Choice(key="model.modalities", values=[["structure"], ["structure", "text"]])],
        [Choice(key="image_features.precomputed", values=[None])],
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
        ([Range(key="fusion.detach", low=0, high=1)], "fusion.detach must be a boolean"),
        ([Choice(key="model.dim", values=[15])], "model.dim must be even"),
        ([Choice(key="prepare.seed", values=[1])], "prepare.seed cannot be swept: .* selected by"),
        ([Choice(key="predict.top_k", values=[1])], "predict.top_k cannot be swept: .* training"),
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
