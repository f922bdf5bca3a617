"""The search along one key after the other."""

from collections.abc import Callable
from typing import Any

import pytest

from imf_core.tuning.search import Axis, Setting, search

HALVES = Axis("train.n3", factors=(0.5, 2.0))


class Landscape:
    """Scores settings by a function and records their order."""

    def __init__(self, score: Callable[[Setting], float]) -> None:
        self._score = score
        self.tried: list[Setting] = []

    def __call__(self, setting: Setting) -> float:
        self.tried.append(dict(setting))
        return self._score(setting)

    def values(self, key: str) -> list[Any]:
        return [setting[key] for setting in self.tried]


def nearness_to(best: float, key: str = "train.n3") -> Landscape:
    return Landscape(lambda setting: -abs(setting[key] - best))


def test_it_goes_on_in_a_direction_that_gains_and_stops_where_it_gets_worse() -> None:
    trial = nearness_to(0.25)
    assert search({"train.n3": 1.0}, [HALVES], trial, 10) == {"train.n3": 0.25}
    assert trial.values("train.n3") == [1.0, 0.5, 0.25, 0.125]


def test_it_turns_round_where_the_first_direction_does_not_gain() -> None:
    trial = nearness_to(4.0)
    assert search({"train.n3": 1.0}, [HALVES], trial, 10) == {"train.n3": 4.0}
    assert trial.values("train.n3") == [1.0, 0.5, 2.0, 4.0, 8.0]


def test_a_way_back_costs_no_trial_where_thirds_are_rounded() -> None:
    trial = nearness_to(0.03)
    thirds = Axis("train.n3", factors=(1 / 3, 3.0))
    assert search({"train.n3": 0.1}, [thirds], trial, 10) == {"train.n3": 0.03333}
    assert trial.values("train.n3") == [0.1, 0.03333, 0.01111]


def test_a_value_of_zero_is_not_multiplied() -> None:
    trial = nearness_to(1.0)
    assert search({"train.n3": 0.0}, [HALVES], trial, 10) == {"train.n3": 0.0}
    assert trial.values("train.n3") == [0.0]


def test_listed_values_are_tried_once_each_in_their_order() -> None:
    trial = nearness_to(64, "train.batch_size")
    axes = [Axis("train.batch_size", values=(128, 64, 32))]
    assert search({"train.batch_size": 32}, axes, trial, 10) == {"train.batch_size": 64}
    assert trial.values("train.batch_size") == [32, 128, 64]


def test_an_axis_starts_from_the_best_values_of_those_before() -> None:
    trial = Landscape(lambda setting: setting["model.dropout"] - abs(setting["train.n3"] - 0.5))
    start = {"train.n3": 1.0, "model.dropout": 0.1}
    axes = [HALVES, Axis("model.dropout", values=(0.3,))]
    assert search(start, axes, trial, 10) == {"train.n3": 0.5, "model.dropout": 0.3}
    assert trial.tried[3] == {"train.n3": 0.5, "model.dropout": 0.3}


def test_the_axes_are_gone_along_again_until_none_gains() -> None:
    # The penalty that is best depends on the dropout, which comes after it.
    trial = Landscape(
        lambda setting: (
            2 * setting["model.dropout"] - abs(setting["train.n3"] - setting["model.dropout"])
        )
    )
    start = {"train.n3": 1.0, "model.dropout": 1.0}
    axes = [HALVES, Axis("model.dropout", values=(2.0,))]
    assert search(start, axes, trial, 20) == {"train.n3": 2.0, "model.dropout": 2.0}


def test_a_key_that_comes_again_is_searched_from_where_it_stood() -> None:
    trial = nearness_to(0.4)
    finer = Axis("train.n3", factors=(0.8, 1.25))
    assert search({"train.n3": 1.0}, [HALVES, finer], trial, 10) == {"train.n3": 0.4}


@pytest.mark.parametrize("budget", [1, 2, 3, 4, 7])
def test_no_more_than_the_budget_is_tried(budget: int) -> None:
    trial = nearness_to(0.0)
    found = search({"train.n3": 1.0}, [HALVES], trial, budget)
    assert len(trial.tried) == budget
    assert found == trial.tried[-1]


def test_without_trials_the_start_is_returned_untried() -> None:
    trial = nearness_to(0.25)
    assert search({"train.n3": 1.0}, [HALVES], trial, 0) == {"train.n3": 1.0}
    assert trial.tried == []


def test_no_setting_is_tried_twice() -> None:
    trial = Landscape(lambda setting: -abs(setting["train.n3"] - 0.3) - setting["model.dropout"])
    axes = [
        Axis("model.dropout", values=(0.0, 0.1, 0.0)),
        HALVES,
        Axis("model.dropout", values=(0.1, 0.0)),
        HALVES,
    ]
    search({"train.n3": 1.0, "model.dropout": 0.1}, axes, trial, 50)
    assert len(trial.tried) == len({tuple(setting.items()) for setting in trial.tried})


def test_of_equals_the_earlier_setting_is_kept() -> None:
    trial = Landscape(lambda _: 0.5)
    axes = [HALVES, Axis("model.dropout", values=(0.0, 0.3))]
    start = {"train.n3": 1.0, "model.dropout": 0.1}
    assert search(start, axes, trial, 10) == start
    assert len(trial.tried) == 5


def test_a_value_that_costs_more_time_has_to_gain_more_than_that() -> None:
    quarters = Axis("train.batch_size", factors=(0.25,), least_gain=0.005)
    gains = {256: 0.5, 64: 0.504, 16: 0.6}
    trial = Landscape(lambda setting: gains[setting["train.batch_size"]])
    assert search({"train.batch_size": 256}, [quarters], trial, 10) == {"train.batch_size": 256}


def test_a_count_that_is_multiplied_stays_a_count_of_at_least_one() -> None:
    quarters = Axis("train.batch_size", factors=(0.25,))
    trial = nearness_to(0.0, "train.batch_size")
    found = search({"train.batch_size": 6}, [quarters], trial, 10)
    assert found == {"train.batch_size": 1}
    assert trial.values("train.batch_size") == [6, 2, 1]


def test_axes_are_searched_again_until_none_of_them_gains() -> None:
    def score(setting: Setting) -> float:
        is_wide = setting["model.dropout"] == 0.3
        return is_wide - abs(setting["train.n3"] - (4.0 if is_wide else 1.0))

    axes = [HALVES, Axis("model.dropout", values=(0.3,))]
    start = {"train.n3": 2.0, "model.dropout": 0.1}
    found = search(start, axes, Landscape(score), 20)
    assert found == {"train.n3": 1.0, "model.dropout": 0.1}
    found = search({**start, "train.n3": 4.0}, axes[::-1], Landscape(score), 20)
    assert found == {"train.n3": 4.0, "model.dropout": 0.3}


def test_factors_lead_to_no_value_below_the_least() -> None:
    quarters = Axis("train.batch_size", factors=(0.25,), least=16)
    trial = nearness_to(0.0, "train.batch_size")
    assert search({"train.batch_size": 100}, [quarters], trial, 10) == {"train.batch_size": 25}
