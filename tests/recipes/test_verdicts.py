"""False facts, and the measurement of triple classification."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_world import small_params, tiny_graph, tiny_tables

from imf_core.base.config import DatasetParams
from imf_core.base.errors import DataError
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import known_tails_in
from imf_core.graph.labels import SPLITS
from imf_core.inference.completer import Completer
from imf_core.inference.fact_scores import FactScores
from imf_core.model.decision import Calibration
from imf_core.model.imf import IMF
from imf_core.model.saved import SavedModel
from recipes.negatives import draw_first_answers, draw_of_role, draw_random, read_negatives
from recipes.suspects import KINDS, corrupt_train, rate_by_rules
from recipes.verdicts import NEGATIVES, Judged, _accuracy, _f1, compare_rules, find_negatives


@pytest.fixture
def completer(trained: IMF) -> Completer:
    params = small_params()
    config = SavedModel.model_construct(model=params.model, fusion=params.fusion)
    calibration = Calibration(slope=1.0, offset=0.0, shown=10, answers=9, true_answers=3)
    return Completer(tiny_graph(), tiny_tables(), trained, config, calibration)


def test_false_facts_differ_in_one_end_are_in_no_split_and_the_same_each_time(
    completer: Completer, graph: Graph
) -> None:
    true, known = graph.triples["test"], known_tails_in(graph)

    def first(facts: torch.Tensor, seed: int) -> torch.Tensor:
        return draw_first_answers(completer.scorer, graph, facts, SPLITS, seed)

    drawn = [draw_random(graph, true, SPLITS, 0), first(true, 0)]
    drawn.append(draw_of_role(graph, true, SPLITS, 0))
    for false in drawn:
        assert len(true) < len(false) <= 2 * len(true)
        assert not known.contains(false[:, :2], false[:, 2]).any()
        same = (false[:, None] == true[None]).sum(dim=2).max(dim=1).values
        assert same.eq(2).all()
    assert torch.equal(drawn[0], draw_random(graph, true, SPLITS, 0))
    assert not torch.equal(drawn[0], draw_random(graph, true, SPLITS, 1))
    assert torch.equal(drawn[1], first(true, 0))


def test_files_of_false_facts_are_read_by_label(completer: Completer, tmp_path: Path) -> None:
    path = tmp_path / "valid_negatives.txt"
    path.write_text("e05\tspeaks\te00\ne06\tin\te19\n")
    assert read_negatives(completer, path).tolist() == [[5, 2, 0], [6, 0, 19]]
    path.write_text("e05\tspeaks\tNobody\n")
    with pytest.raises(DataError, match=r"valid_negatives\.txt: no entity .* 'Nobody'"):
        read_negatives(completer, path)


def test_the_files_are_found_in_the_folder_of_the_graph(tmp_path: Path) -> None:
    dataset = DatasetParams(
        name="folder", path=str(tmp_path), image_folders=[], decisions="decisions.jsonl"
    )
    assert find_negatives(dataset) is None
    for name in NEGATIVES.values():
        (tmp_path / name).touch()
    assert find_negatives(dataset) == tmp_path
    assert find_negatives(dataset.model_copy(update={"name": "atlas"})) is None


def test_a_scorer_that_knows_the_facts_makes_no_error(
    completer: Completer, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = known_tails_in(graph)

    def score(facts: torch.Tensor) -> FactScores:
        is_true = known.contains(facts[:, :2], facts[:, 2])
        return FactScores(torch.zeros(len(facts), 2), torch.where(is_true, 0.9, 0.1).double())

    monkeypatch.setattr(completer.fact_scorer, "score", score)
    valid, test = (
        Judged(
            completer.fact_scorer,
            graph.triples[split],
            draw_random(graph, graph.triples[split], SPLITS, 0),
        )
        for split in ("valid", "test")
    )
    *rules, larger = compare_rules(graph, completer.thresholds, valid, test)
    assert [row[1:3] for row in rules] == [["100.0 [100.0, 100.0]"] * 2] * 3
    count = len(graph.triples["test"])
    assert larger[1].startswith(f"{100 * (1 - count / len(test.is_true)):.1f} [")
    assert larger[2].startswith("0.0 [")


def test_an_infinite_pull_gives_all_relations_one_threshold(
    completer: Completer, graph: Graph
) -> None:
    valid = graph.triples["valid"]
    judged = Judged(completer.fact_scorer, valid, draw_random(graph, valid, SPLITS, 0))
    assert judged.fit(graph, np.inf).relations == {}
    assert set(judged.fit(graph, 0).relations) == set(graph.relation_labels)


def test_accuracy_and_f1_of_counts() -> None:
    counts = np.array([[6, 2, 3, 9], [0, 0, 5, 5]])
    assert _accuracy(counts).tolist() == [0.75, 0.5]
    assert _f1(counts) == pytest.approx([12 / 17, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_corrupted_facts_of_train_are_in_no_split_and_their_places_are_given(
    kind: str, graph: Graph
) -> None:
    changed, places = corrupt_train(graph, kind, 5, 0)
    before, after = graph.triples["train"], changed.triples["train"]
    is_other = (before != after).any(dim=1)
    assert is_other.nonzero().flatten().tolist() == sorted(places.tolist())
    assert ((before != after).sum(dim=1)[is_other] == 1).all()
    assert not known_tails_in(graph).contains(after[is_other, :2], after[is_other, 2]).any()
    again, _ = corrupt_train(graph, kind, 5, 0)
    other, _ = corrupt_train(graph, kind, 5, 1)
    assert again.facts_digest == changed.facts_digest != other.facts_digest


def test_each_rule_rates_every_fact_of_train(completer: Completer, graph: Graph) -> None:
    for ratings in rate_by_rules(graph, completer.scorer).values():
        assert ratings.shape == (len(graph.triples["train"]),)
        assert np.isfinite(ratings).all()
