"""Odds among unknown answers, and calibrated probabilities."""

import pytest
import torch

from imf_core.model.decision import Calibration, Candidates

PROBABILITIES = torch.tensor([[0.0, 0.4, 0.2, 0.3]])
"""Scores of four entities; the first is not a possible answer. They need not sum to one."""


def candidates(*known: int) -> Candidates:
    rows = torch.zeros(len(known), dtype=torch.long)
    return Candidates(PROBABILITIES.log(), rows, torch.tensor(known, dtype=torch.long))


def odds(found: Candidates, *tails: int) -> list[float]:
    rows = torch.zeros(len(tails), dtype=torch.long)
    return found.log_odds(rows, torch.tensor(tails)).exp().tolist()


def test_an_answer_competes_with_all_possible_ones() -> None:
    assert odds(candidates(), 1, 2) == pytest.approx([0.4 / 0.5, 0.2 / 0.7])


def test_known_answers_are_no_rivals() -> None:
    assert odds(candidates(1), 2, 3) == pytest.approx([0.2 / 0.3, 0.3 / 0.2])


def test_a_known_answer_competes_with_the_unknown_ones() -> None:
    assert odds(candidates(1, 2), 1) == pytest.approx([0.4 / 0.3])


def test_the_best_candidates_come_first_without_known_ones() -> None:
    rows, tails = candidates(1).best(9)
    assert (rows.tolist(), tails.tolist()) == ([0, 0], [3, 2])


def test_the_only_candidate_has_finite_odds() -> None:
    assert torch.isfinite(candidates(1, 2).log_odds(torch.tensor([0]), torch.tensor([3]))).all()


def test_a_query_without_candidates_has_no_answer_and_finite_odds_of_its_known_ones() -> None:
    nobody = candidates(1, 2, 3)
    assert len(nobody.best(5)[0]) == 0
    assert torch.isfinite(nobody.log_odds(torch.tensor([0]), torch.tensor([1]))).all()


def test_an_impossible_answer_is_none_of_the_best_and_has_probability_zero() -> None:
    calibration = Calibration(slope=2.0, offset=-1.0, shown=10, answers=1, true_answers=1)
    found = candidates()
    assert 0 not in found.best(9)[1]
    log_odds = found.log_odds(torch.tensor([0]), torch.tensor([0]))
    assert calibration.probability(log_odds).tolist() == [0.0]


def test_probabilities_are_the_sigmoid_of_the_stretched_odds() -> None:
    calibration = Calibration(slope=2.0, offset=-1.0, shown=10, answers=1, true_answers=1)
    found = calibration.probability(torch.tensor([0.5, 0.0], dtype=torch.float64))
    assert found.tolist() == pytest.approx([0.5, 0.2689414])
