"""Metrics of ranks."""

import numpy as np
import pytest

from imf_core.evaluation.metrics import rank_metrics


def metrics(ranks: list[float], candidates: int = 20) -> dict[str, float]:
    return dict(rank_metrics(np.array(ranks), np.full(len(ranks), candidates)))


def test_metrics_of_known_ranks() -> None:
    found = metrics([1, 3, 10, 20])
    assert found == {
        "mrr": pytest.approx((1 + 1 / 3 + 1 / 10 + 1 / 20) / 4),
        "hits_at_1": 0.25,
        "hits_at_3": 0.5,
        "hits_at_10": 0.75,
        "mean_rank": 8.5,
        "adjusted_mean_rank_index": pytest.approx(1 - 7.5 / 9.5),
    }


def test_a_tie_for_the_first_place_is_no_hit_at_one() -> None:
    assert metrics([1.5])["hits_at_1"] == 0.0


def test_the_adjusted_index_of_an_oracle_is_one() -> None:
    assert metrics([1, 1, 1])["adjusted_mean_rank_index"] == 1.0


def test_the_adjusted_index_of_a_constant_scorer_is_zero() -> None:
    candidates = np.array([3, 8, 20])
    found = rank_metrics((candidates + 1) / 2, candidates)
    assert found["adjusted_mean_rank_index"] == pytest.approx(0.0)


def test_the_adjusted_index_of_the_worst_ranks_is_minus_one() -> None:
    assert metrics([20, 20])["adjusted_mean_rank_index"] == pytest.approx(-1.0)


def test_a_single_candidate_gives_a_perfect_index() -> None:
    assert metrics([1], candidates=1)["adjusted_mean_rank_index"] == 1.0


def test_metrics_are_plain_floats() -> None:
    assert {type(value) for value in metrics([1, 3]).values()} == {float}
