"""The gain over another model and its interval."""

import numpy as np
import pytest

from imf_core.evaluation.metrics import Gain, average_by_fact, estimate_gain


def test_both_questions_about_a_fact_are_one_number() -> None:
    assert average_by_fact(np.array([0.5, 0.0, 0.0, -0.75])).tolist() == [0.25, -0.375]


def test_the_interval_of_a_mean_is_the_textbooks() -> None:
    sample = np.random.default_rng(1).normal(0.1, 1.0, 400)
    found = estimate_gain(sample)
    error = 1.96 * sample.std() / 20
    assert found.gain == pytest.approx(sample.mean())
    assert found.low == pytest.approx(sample.mean() - error, abs=0.02)
    assert found.high == pytest.approx(sample.mean() + error, abs=0.02)


def test_the_interval_is_the_same_each_time() -> None:
    sample = np.random.default_rng(1).normal(size=50)
    assert estimate_gain(sample) == estimate_gain(sample)


def test_a_single_fact_has_an_interval_of_width_zero() -> None:
    assert estimate_gain(np.array([0.25])) == Gain(0.25, 0.25, 0.25)
