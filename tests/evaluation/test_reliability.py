"""Reliability of probabilities."""

import numpy as np
import pytest

from imf_core.evaluation.metrics import brier_score, calibration_error, reliability_rows

PROBABILITY = np.array([0.05, 0.05, 0.95, 1.0, 0.92, 0.92])
IS_TRUE = np.array([False, True, True, True, True, False])


def test_each_bin_compares_probability_and_truth() -> None:
    low, high = reliability_rows("calibrated", PROBABILITY, IS_TRUE)
    assert low == {
        "probability": "calibrated",
        "from": 0.0,
        "to": 0.1,
        "answers": 2,
        "mean_probability": pytest.approx(0.05),
        "share_true": 0.5,
    }
    assert (high["from"], high["to"], high["answers"]) == (0.9, 1.0, 4)


def test_the_error_weighs_the_distances_by_answers() -> None:
    rows = reliability_rows("calibrated", PROBABILITY, IS_TRUE)
    expected = sum(
        row["answers"] * abs(row["mean_probability"] - row["share_true"]) for row in rows
    ) / len(PROBABILITY)
    assert calibration_error(PROBABILITY, IS_TRUE) == pytest.approx(expected)


def test_certain_and_right_answers_have_no_error() -> None:
    assert calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0


def test_who_says_the_overall_share_has_no_calibration_error_but_a_brier_score() -> None:
    is_true = np.array([True, False, False, False])
    flat = np.full(4, 0.25)
    assert calibration_error(flat, is_true) == 0
    assert brier_score(flat, is_true) == pytest.approx(0.25 * 0.75)
    assert brier_score(is_true.astype(float), is_true) == 0
