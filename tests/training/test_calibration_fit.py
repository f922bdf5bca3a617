"""Calibration is fitted on valid: each half under the decision of the other half."""

import pytest
import torch
from tiny_world import COUNTRIES, LOOPED, looped_graph, small_params, tiny_graph, tiny_model

from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import build_known_tails, known_tails_in
from imf_core.model.imf import IMF
from imf_core.model.scorer import Scorer
from imf_core.training import calibration_fit
from imf_core.training.calibration_fit import (
    SHOWN,
    CalibrationData,
    calibrate,
    collect_calibration_data,
    fit_calibration,
)


def make_data(slope: float, offset: float) -> CalibrationData:
    """Makes answers that are right with the frequency of a calibration."""
    generator = torch.Generator().manual_seed(3)
    log_odds = 3 * torch.randn(40_000, generator=generator, dtype=torch.float64)
    chance = torch.rand(40_000, generator=generator, dtype=torch.float64)
    return CalibrationData(log_odds, log_odds, chance < torch.sigmoid(slope * log_odds + offset))


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.5, 0.3), (1.6, -2.0)])
def test_the_two_numbers_are_found_again(slope: float, offset: float) -> None:
    found = fit_calibration(make_data(slope, offset))
    assert (found.slope, found.offset) == pytest.approx((slope, offset), abs=0.06)


@pytest.mark.parametrize("is_true", [True, False])
def test_answers_that_are_all_alike_give_finite_numbers(is_true: bool) -> None:
    log_odds = torch.tensor([0.3, -2.0], dtype=torch.float64)
    found = fit_calibration(CalibrationData(log_odds, log_odds, torch.tensor([is_true] * 2)))
    assert 0 < found.slope < 10
    assert abs(found.offset) < 10


def test_the_best_answers_are_true_where_held_out(trained: IMF, graph: Graph) -> None:
    valid, train = graph.triples["valid"], known_tails_in(graph, ["train"])
    found = collect_calibration_data(Scorer(trained), valid, valid, train, graph.num_relations, 4)
    truth = build_known_tails(valid, graph.num_entities, graph.num_relations)
    assert len(found.is_true) == SHOWN * len(truth.queries)
    assert 0 < int(found.is_true.sum()) <= len(truth.tails)


@pytest.mark.parametrize("has_loops", [False, True])
def test_the_own_entity_is_an_answer_only_where_train_has_a_loop(has_loops: bool) -> None:
    graph = looped_graph() if has_loops else tiny_graph()
    loops = torch.tensor([[country, LOOPED, country] for country in COUNTRIES[1:]])
    train = known_tails_in(graph, ["train"])
    scorer = Scorer(tiny_model(graph=graph))
    found = collect_calibration_data(scorer, loops, loops, train, graph.num_relations, 100)
    assert bool(found.is_true.any()) == has_loops
    assert found.log_odds.isfinite().all()


def test_each_half_is_scored_under_the_decision_of_the_other(
    trained: IMF, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[set[tuple[int, ...]]] = []
    for name in ("score_held_out", "collect_calibration_data"):
        original = getattr(calibration_fit, name)

        def spy(scorer: Scorer, facts: torch.Tensor, *rest: object, call=original) -> object:
            calls.append(set(map(tuple, facts.tolist())))
            return call(scorer, facts, *rest)

        monkeypatch.setattr(calibration_fit, name, spy)
    valid = graph.triples["valid"]
    halves = (valid[:3], valid[3:])
    calibrate(trained, graph, halves, small_params().decision, 8)
    one, other = (set(map(tuple, half.tolist())) for half in halves)
    assert calls == [one, other, other, one]


def test_the_decision_is_left_as_it_was(trained: IMF, graph: Graph) -> None:
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    valid = graph.triples["valid"]
    calibrate(trained, graph, (valid[:3], valid[3:]), small_params().decision, 8)
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())


def test_test_facts_have_no_say(trained: IMF, graph: Graph) -> None:
    other = tiny_graph()
    other.triples["test"] = other.triples["test"][:0]
    valid = graph.triples["valid"]
    halves = (valid[:3], valid[3:])
    found = [calibrate(trained, g, halves, small_params().decision, 8) for g in (graph, other)]
    assert found[0] == found[1]
