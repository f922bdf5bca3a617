"""Scores of given facts, their thresholds, and relations of a pair."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
import torch
from tiny_world import looped_graph, small_params, tiny_graph, tiny_model, tiny_tables

from imf_core.base.errors import QuestionError
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import known_tails_in
from imf_core.inference.answers import Question
from imf_core.inference.completer import Completer
from imf_core.inference.fact_scores import Thresholds, choose_thresholds, corrupt
from imf_core.inference.relation_answers import rank_true_relations
from imf_core.inference.unseen_entity import UnseenEntity
from imf_core.model.decision import Calibration
from imf_core.model.imf import IMF
from imf_core.model.saved import SavedModel

CALIBRATION = Calibration(slope=0.5, offset=-0.2, shown=10, answers=9, true_answers=3)


def make_completer(
    model: IMF, graph: Graph | None = None, thresholds: Thresholds | None = None
) -> Completer:
    params = small_params()
    config = SavedModel.model_construct(model=params.model, fusion=params.fusion, paths=None)
    tables = tiny_tables()
    return Completer(
        graph or tiny_graph(), tables, model, config, CALIBRATION, thresholds=thresholds
    )


@pytest.fixture
def completer(trained: IMF) -> Completer:
    return make_completer(trained)


def triples_of(graph: Graph, split: str) -> list[tuple[str, str, str]]:
    labels = graph.entity_labels
    return [
        (labels[head], graph.relation_labels[relation], labels[tail])
        for head, relation, tail in graph.triples[split].tolist()
    ]


def test_a_score_is_that_of_the_answers_to_both_questions(
    completer: Completer, graph: Graph
) -> None:
    triples = [*triples_of(graph, "test"), ("e05", "speaks", "e19")]
    for triple, row in zip(triples, completer.score(triples).to_pylist(), strict=True):
        head, relation, tail = triple
        assert (row["head"], row["relation"], row["tail"]) == triple
        tails = completer.predict_tails(head, relation, 99, with_known=True).to_pylist()
        heads = completer.predict_heads(relation, tail, 99, with_known=True).to_pylist()
        (one,) = [each["log_prob"] for each in tails if each["tail"] == tail]
        (other,) = [each["log_prob"] for each in heads if each["head"] == head]
        assert row["log_prob_tail"] == pytest.approx(one, abs=1e-5)
        assert row["log_prob_head"] == pytest.approx(other, abs=1e-5)
        assert row["is_true"] == (row["probability"] >= row["threshold"])


def test_a_probability_lies_between_those_of_the_two_questions(
    completer: Completer, graph: Graph
) -> None:
    # A fact of test: train alone is known there too, and both shares apply to both answers.
    head, relation, tail = triples_of(graph, "test")[0]
    (row,) = completer.score([(head, relation, tail)]).to_pylist()
    tails = completer.predict_tails(head, relation, 99).to_pylist()
    heads = completer.predict_heads(relation, tail, 99).to_pylist()
    (one,) = [each["probability"] for each in tails if each["tail"] == tail]
    (other,) = [each["probability"] for each in heads if each["head"] == head]
    assert min(one, other) <= row["probability"] <= max(one, other)
    assert row["known_in"] == "test"


def test_scores_do_not_depend_on_valid_and_test(completer: Completer, graph: Graph) -> None:
    none = torch.zeros(0, 3, dtype=torch.long)
    alone = replace(graph, triples={**graph.triples, "valid": none, "test": none})
    thresholds = Thresholds(default=0.5, relations={}, facts=1, balanced_accuracy=1.0)
    model = completer.scorer.model
    triples = [*triples_of(graph, "test"), *triples_of(graph, "valid"), ("e05", "speaks", "e19")]
    first, second = (
        make_completer(model, each, thresholds).score(triples)["probability"]
        for each in (graph, alone)
    )
    assert first.to_pylist() == second.to_pylist()


def test_small_batches_give_the_same_scores(
    completer: Completer, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    triples = [*triples_of(graph, "test"), *triples_of(graph, "train")]
    whole = completer.score(triples)["probability"].to_pylist()
    monkeypatch.setattr(type(completer.scorer), "probability_batch_size", lambda *_: 2)
    assert completer.score(triples)["probability"].to_pylist() == pytest.approx(whole, rel=1e-4)


def test_an_impossible_fact_has_no_probability(completer: Completer) -> None:
    (row,) = completer.score([("e05", "speaks", "e05")]).to_pylist()
    assert (row["probability"], row["log_prob_tail"], row["is_true"]) == (0, -np.inf, False)


def test_a_loop_is_scored_where_train_has_one() -> None:
    graph = looped_graph()
    completer = make_completer(tiny_model(graph=graph), graph)
    (row,) = completer.score([("e05", "next_to", "e05")]).to_pylist()
    assert row["probability"] > 0


def test_a_fact_of_an_unseen_entity_is_scored_by_the_other_question(completer: Completer) -> None:
    features = {"text": completer.tables["text"].vectors[5]}
    extended = completer.with_unseen_entities([UnseenEntity("new", features=features)])
    (row,) = extended.score([("new", "speaks", "e19")]).to_pylist()
    assert row["log_prob_head"] == -np.inf
    assert np.isfinite(row["log_prob_tail"])
    assert 0 < row["probability"] < 1


def test_no_triple_is_refused(completer: Completer) -> None:
    with pytest.raises(QuestionError, match="at least one triple"):
        completer.score([])


def test_corrupted_facts_keep_relation_and_role_and_are_in_neither_split(graph: Graph) -> None:
    valid = graph.triples["valid"]
    false = corrupt(valid, graph)
    known = known_tails_in(graph, ["train", "valid"])
    assert len(false)
    assert not known.contains(false[:, :2], false[:, 2]).any()
    train = graph.triples["train"]
    for head, relation, tail in false.tolist():
        of_relation = train[train[:, 1] == relation]
        assert head in of_relation[:, 0] or [head, relation] in valid[:, :2].tolist()
        assert tail in of_relation[:, 2] or [relation, tail] in valid[:, 1:].tolist()
    assert torch.equal(false, corrupt(valid, graph))


def test_nothing_is_drawn_where_train_has_one_entity_alone() -> None:
    graph = tiny_graph()
    one = torch.tensor([[3, 0, 0]])
    alone = replace(graph, triples={"train": one, "valid": one, "test": one})
    assert corrupt(one, alone).shape == (0, 3)


@pytest.mark.parametrize(
    ("values", "is_true", "threshold"),
    [
        ([0.1, 0.2, 0.8, 0.9], [False, False, True, True], 0.5),
        ([0.1, 0.8, 0.2, 0.9], [True, True, False, False], 0.5),
        ([0.4, 0.4], [True, False], 0.2),
        ([0.6, 0.8], [True, True], 0.3),
    ],
)
def test_the_threshold_has_the_best_balanced_accuracy(
    values: list[float], is_true: list[bool], threshold: float
) -> None:
    relations = torch.zeros(len(values), dtype=torch.long)
    probability = torch.tensor(values, dtype=torch.float64)
    found = choose_thresholds(probability, torch.tensor(is_true), relations, ["r"])
    assert found.default == pytest.approx(threshold)
    assert found.of_relations(["r"]) == pytest.approx(threshold)


def thresholds_of(first: int, second: int) -> Thresholds:
    """Two relations with other best thresholds, .3 and .6, and so many true facts."""
    values, is_true, relations = [], [], []
    for relation, (count, true, false) in enumerate(((first, 0.4, 0.2), (second, 0.7, 0.5))):
        values += [true] * count + [false] * count
        is_true += [True] * count + [False] * count
        relations += [relation] * (2 * count)
    return choose_thresholds(
        torch.tensor(values, dtype=torch.float64),
        torch.tensor(is_true),
        torch.tensor(relations),
        ["first", "second"],
    )


def test_a_relation_with_many_facts_has_its_own_threshold() -> None:
    found = thresholds_of(100, 100)
    assert found.of_relations(["first", "second"]) == pytest.approx([0.3, 0.6])
    assert found.balanced_accuracy == 1


def test_a_relation_with_few_facts_has_the_threshold_of_all() -> None:
    found = thresholds_of(100, 5)
    assert found.default == pytest.approx(0.3)
    assert found.of_relations(["second", "unknown"]) == pytest.approx([0.3, 0.3])


def test_the_thresholds_are_fitted_on_valid(completer: Completer, graph: Graph) -> None:
    thresholds = completer.thresholds
    assert thresholds.facts == len(graph.triples["valid"])
    assert set(thresholds.relations) <= set(graph.relation_labels)
    assert thresholds.balanced_accuracy > 0.5
    triples = triples_of(graph, "test")
    given = completer.score(triples)["threshold"].to_pylist()
    assert given == thresholds.of_relations([triple[1] for triple in triples]).tolist()


def test_the_relation_of_a_pair_is_found(completer: Completer, graph: Graph) -> None:
    ranks = []
    for head, relation, tail in triples_of(graph, "test"):
        found = completer.predict_relations(head, tail)["relation"].to_pylist()
        ranks.append(found.index(relation))
    assert np.mean(np.array(ranks) == 0) > 0.8


def test_a_relation_has_the_score_of_its_fact_times_the_affinity(completer: Completer) -> None:
    rows = completer.predict_relations("e05", "e19").to_pylist()
    assert [row["probability"] for row in rows] == sorted(
        (row["probability"] for row in rows), reverse=True
    )
    for row in rows:
        (scored,) = completer.score([("e05", row["relation"], "e19")]).to_pylist()
        assert row["probability"] == pytest.approx(scored["probability"] * row["affinity"])
    by_relation = {row["relation"]: row["affinity"] for row in rows}
    assert by_relation["speaks"] == 1  # e05 speaks, e19 is spoken
    assert by_relation["in"] < 1  # nothing is in a language


def test_relations_of_train_are_left_out_unless_asked_for(
    completer: Completer, graph: Graph
) -> None:
    head, relation, tail = triples_of(graph, "train")[0]
    assert relation not in completer.predict_relations(head, tail)["relation"].to_pylist()
    every = completer.predict_relations(head, tail, with_known=True).to_pylist()
    assert {row["relation"]: row["known_in"] for row in every}[relation] == "train"
    assert len(completer.predict_relations(head, tail, 1)) == 1
    with pytest.raises(QuestionError, match=r"at least one relation .* k = 0"):
        completer.predict_relations(head, tail, 0)


def test_a_relation_without_loops_in_train_joins_no_entity_to_itself() -> None:
    graph = looped_graph()
    looped = make_completer(tiny_model(graph=graph), graph)
    assert looped.predict_relations("e05", "e05", with_known=True)["relation"].to_pylist() == [
        "next_to"
    ]
    assert looped.predict_relations("e06", "e06")["relation"].to_pylist() == ["next_to"]
    plain = make_completer(tiny_model())
    assert len(plain.predict_relations("e05", "e05", with_known=True)) == 0

    # A known loop stays known.
    held = torch.cat([graph.triples["valid"], torch.tensor([[6, 2, 6]])])
    with_held = replace(graph, triples={**graph.triples, "valid": held})
    found = make_completer(tiny_model(graph=graph), with_held).predict_relations(
        "e06", "e06", with_known=True
    )
    assert dict(zip(found["relation"].to_pylist(), found["known_in"].to_pylist(), strict=True)) == {
        "next_to": "new",
        "speaks": "valid",
    }


def test_many_pairs_are_answered_like_each_one_alone(completer: Completer) -> None:
    pairs = [("e05", "e19"), ("e06", "e19"), ("e05", "e06")]
    together = completer.answer_relations(pairs, 2)
    assert together["question"].to_pylist() == sorted(together["question"].to_pylist())
    for row, pair in enumerate(pairs):
        alone = completer.predict_relations(*pair, 2)
        rows = together.filter(pc.equal(together["question"], row)).drop("question")
        assert rows["relation"].to_pylist() == alone["relation"].to_pylist()
        assert rows["probability"].to_pylist() == pytest.approx(alone["probability"].to_pylist())
        assert set(rows["asked_for"].to_pylist()) <= {"relation"}


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "at least one"),
        ("ab", "a list of"),
        (["ab"], "'ab' among them"),
        ([("e05", None)], "label or name"),
        ([("e05", "e99")], "no entity .* 'e99'"),
    ],
)
def test_what_is_no_pair_is_refused(pairs: Any, message: str, completer: Completer) -> None:
    with pytest.raises(QuestionError, match=message):
        completer.answer_relations(pairs)


def test_a_question_for_the_relation_is_no_question_for_an_entity(completer: Completer) -> None:
    with pytest.raises(QuestionError, match=r"e05 - \? - e19 asks for the relation"):
        completer.answer([Question("e05", None, "e19")])


def test_the_rank_of_a_true_relation_is_filtered_and_ties_count_half() -> None:
    values = torch.tensor([[5.0, 1.0, 1.0, 0.0], [9.0, 3.0, 3.0, 3.0], [0.0, 2.0, 1.0, 4.0]])
    relations = torch.tensor([1, 3, 1])
    is_known = torch.zeros(3, 4, dtype=torch.bool)
    assert rank_true_relations(values, relations, is_known).tolist() == [2.5, 3.0, 2.0]
    is_known[:, 0], is_known[:, 3] = True, True  # the true one of the second pair among them
    assert rank_true_relations(values, relations, is_known).tolist() == [1.5, 2.0, 1.0]


def test_a_pair_with_every_relation_in_train_has_no_further_one(trained: IMF) -> None:
    graph = tiny_graph()
    every = torch.tensor([[5, relation, 20] for relation in range(graph.num_relations)])
    train = torch.cat([graph.triples["train"], every])
    completer = make_completer(trained, replace(graph, triples={**graph.triples, "train": train}))
    assert len(completer.predict_relations("e05", "e20")) == 0
    assert len(completer.predict_relations("e05", "e20", with_known=True)) == 3


def test_an_unseen_entity_has_the_affinity_of_every_relation(completer: Completer) -> None:
    features = {"text": completer.tables["text"].vectors[5]}
    extended = completer.with_unseen_entities([UnseenEntity("new", features=features)])
    affinity = extended.predict_relations("new", "e20")["affinity"].to_pylist()
    assert max(affinity) == 1


def test_the_two_ends_are_asked_as_the_questions_are(completer: Completer) -> None:
    for table, question in (
        (completer.predict_tails("e05", "speaks", 3), Question("e05", "speaks", None)),
        (completer.predict_heads("speaks", "e19", 3), Question(None, "speaks", "e19")),
    ):
        assert table.equals(completer.answer([question], 3).drop_columns(["question"]))
