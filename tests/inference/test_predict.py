"""Predicting facts that are not in train."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from tiny_world import (
    LONELY,
    UNSEEN_RELATIONS,
    looped_graph,
    small_params,
    tiny_graph,
    tiny_model,
    tiny_paths,
)

from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import KnownTails, build_known_tails, known_tails_in
from imf_core.inference import predict as predict_module
from imf_core.inference.answers import find_answers
from imf_core.inference.fact_table import NEW, FactTable
from imf_core.inference.predict import plausible_queries, predict_facts
from imf_core.inference.reasons import PATH
from imf_core.model.decision import Calibration
from imf_core.model.imf import IMF
from imf_core.model.scorer import Scorer

ALL = {
    "top_k": 10_000,
    "confirmed_top_k": 10_000,
    "answers_per_query": 100,
    "min_relation_affinity": 0.0,
}

CALIBRATION = Calibration(slope=0.5, offset=-0.25, shown=10, answers=100, true_answers=20)


def predict(model: IMF, graph: Graph, **changes: Any) -> pa.Table:
    params = small_params({f"predict.{key}": value for key, value in {**ALL, **changes}.items()})
    return predict_facts(Scorer(model), CALIBRATION, graph, params.predict)


def labels_of(graph: Graph, split: str) -> set[tuple[str, str, str]]:
    return {
        (graph.entity_labels[h], graph.relation_labels[r], graph.entity_labels[t])
        for h, r, t in graph.triples[split].tolist()
    }


def facts_of(table: pa.Table) -> list[tuple[str, str, str]]:
    return list(
        zip(*(table[role].to_pylist() for role in ("head", "relation", "tail")), strict=True)
    )


def probability(scorer: Scorer, known: KnownTails, query: list[int], answer: int) -> float:
    """Calibrates the odds of an answer against all entities that are not known, in plain sums."""
    scores = scorer.score_all_tails(torch.tensor([query])).combined[0].double().exp()
    rivals = torch.ones_like(scores, dtype=torch.bool)
    rivals[known.lookup(torch.tensor([query]))[1]] = False
    rivals[[query[0], answer]] = False
    log_odds = torch.log(scores[answer] / scores[rivals].sum())
    return float(torch.sigmoid(0.5 * log_odds - 0.25))


@pytest.fixture(scope="module")
def predictions(trained: IMF) -> pa.Table:
    """All predicted facts of the trained model."""
    return predict(trained, tiny_graph())


def test_no_train_fact_is_predicted(predictions: pa.Table, graph: Graph) -> None:
    assert not set(facts_of(predictions)) & labels_of(graph, "train")


def test_each_fact_is_predicted_once(predictions: pa.Table) -> None:
    facts = facts_of(predictions)
    assert len(set(facts)) == len(facts) > 100


def test_no_fact_links_an_entity_to_itself_where_train_has_no_loop(predictions: pa.Table) -> None:
    assert not [fact for fact in facts_of(predictions) if fact[0] == fact[2]]


def test_a_fact_may_link_an_entity_to_itself_where_train_has_a_loop_of_the_relation() -> None:
    graph = looped_graph()
    found = facts_of(predict(tiny_model(graph=graph), graph))
    assert {relation for head, relation, tail in found if head == tail} == {"next_to"}


def test_the_most_probable_facts_come_first(predictions: pa.Table) -> None:
    probabilities = predictions["probability"].to_pylist()
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0 < probabilities[-1] <= probabilities[0] <= 1


def test_held_out_facts_are_marked_by_their_split(predictions: pa.Table, graph: Graph) -> None:
    marks = dict(zip(facts_of(predictions), predictions["known_in"].to_pylist(), strict=True))
    expected = {fact: split for split in ("valid", "test") for fact in labels_of(graph, split)}
    assert {fact for fact in marks if marks[fact] != NEW} == set(marks) & set(expected)
    assert all(marks[fact] == split for fact, split in expected.items() if fact in marks)
    assert {"valid", "test", NEW} == set(marks.values())


def test_no_second_answer_is_new_where_some_split_gives_the_only_one(
    trained: IMF, predictions: pa.Table, graph: Graph
) -> None:
    def marks_of_continents(table: pa.Table) -> set[str]:
        return {row["known_in"] for row in table.to_pylist() if row["relation"] == "in"}

    held_out = {"valid", "test"}
    assert marks_of_continents(predictions) == {*held_out, NEW}
    assert marks_of_continents(predict(trained, graph, min_relation_affinity=0.5)) == held_out


def test_names_stand_beside_labels(predictions: pa.Table, graph: Graph) -> None:
    names = dict(zip(graph.entity_labels, graph.entity_names, strict=True))
    for role in ("head", "tail"):
        expected = [names[label] for label in predictions[role].to_pylist()]
        assert predictions[f"{role}_name"].to_pylist() == expected


def test_the_shares_of_a_fact_sum_to_one_or_to_zero(predictions: pa.Table, trained: IMF) -> None:
    columns = [predictions[f"share_{head}"].to_pylist() for head in trained.channel_names]
    for shares in zip(*columns, strict=True):
        assert min(shares) >= 0
        assert sum(shares) == pytest.approx(1.0, abs=1e-5) or sum(shares) == 0


def test_the_shares_of_a_likely_fact_sum_to_one(predictions: pa.Table, trained: IMF) -> None:
    facts = predictions.to_pylist()
    facts.sort(key=lambda fact: -fact["probability"] / fact["further"])
    for fact in facts[:20]:
        assert sum(fact[f"share_{head}"] for head in trained.channel_names) == pytest.approx(1.0)


def test_a_channel_that_cannot_answer_has_no_share_and_no_probability(
    trained: IMF, graph: Graph
) -> None:
    scorer, train = Scorer(trained), known_tails_in(graph, ["train"])
    queries = torch.tensor([[LONELY, relation] for relation in UNSEEN_RELATIONS])
    found = find_answers(scorer, CALIBRATION, queries, train, count=5)
    asked = FactTable(graph, scorer.channel_names).write(found).to_pylist()
    assert asked
    assert {fact["log_prob_visual"] for fact in asked} == {None}
    assert {fact["share_visual"] for fact in asked} == {0.0}
    assert None not in {fact["log_prob_structural"] for fact in asked}


def test_a_fact_asked_for_from_both_sides_keeps_its_better_probability(
    predictions: pa.Table, trained: IMF, graph: Graph
) -> None:
    entity = {label: i for i, label in enumerate(graph.entity_labels)}
    train = build_known_tails(graph.triples["train"], graph.num_entities, graph.num_relations)
    asked = plausible_queries(train, graph.num_relations, 0.0, 10_000).tolist()
    scorer = Scorer(trained)
    for fact in predictions.slice(0, 20).to_pylist():
        relation = graph.relation_labels.index(fact["relation"])
        head, tail = entity[fact["head"]], entity[fact["tail"]]
        sides = {"tail": (head, relation, tail)}
        sides["head"] = (tail, relation + graph.num_relations, head)
        found = {
            side: probability(scorer, train, query, answer)
            for side, (*query, answer) in sides.items()
            if query in asked
        }
        best = max(found.values()) * fact["further"]
        assert fact["probability"] == pytest.approx(best, rel=1e-4)
        assert fact["asked_for"] == max(found, key=lambda side: found[side])


@pytest.mark.parametrize(("new", "confirmed"), [(1, 0), (7, 2), (3, 10_000)])
def test_new_and_confirmed_facts_have_bounds_of_their_own(
    new: int, confirmed: int, predictions: pa.Table, trained: IMF, graph: Graph
) -> None:
    found = predict(trained, graph, top_k=new, confirmed_top_k=confirmed)
    is_new = pc.equal(predictions["known_in"], NEW)
    parts = (predictions.filter(is_new)[:new], predictions.filter(pc.invert(is_new))[:confirmed])
    expected = sorted(facts_of(parts[0]) + facts_of(parts[1]))
    assert sorted(facts_of(found)) == expected
    assert found["probability"].to_pylist() == sorted(found["probability"].to_pylist())[::-1]


def test_no_query_gives_more_answers_than_asked_for(trained: IMF, graph: Graph) -> None:
    facts = predict(trained, graph, answers_per_query=2).to_pylist()
    for side, given in (("tail", "head"), ("head", "tail")):
        queries = [(fact[given], fact["relation"]) for fact in facts if fact["asked_for"] == side]
        assert max(map(queries.count, queries)) <= 2


def test_one_query_gives_its_best_answers(trained: IMF, graph: Graph) -> None:
    found = predict(trained, graph, max_queries=1, answers_per_query=3)
    assert len(found) == 3


def test_a_large_graph_is_asked_fewer_questions_than_the_parameter_allows(
    trained: IMF, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict_module, "max_predicted_queries", lambda num_entities: 1)
    bounded = predict(trained, graph, answers_per_query=3)
    assert bounded.equals(predict(trained, graph, max_queries=1, answers_per_query=3))


def test_predictions_of_structure_alone_name_its_one_channel(graph: Graph) -> None:
    found = predict(tiny_model({"model.modalities": ["structure"]}), graph, top_k=5)
    shares = [name for name in found.column_names if name.startswith("share_")]
    assert shares == ["share_structural"]


def test_facts_of_test_change_a_probability_by_its_further_share_alone(
    predictions: pa.Table, trained: IMF, graph: Graph
) -> None:
    def before_weighing(table: pa.Table) -> dict[tuple[str, str, str], float]:
        ratio = pc.divide(table["probability"], table["further"]).to_pylist()
        return dict(zip(facts_of(table), ratio, strict=True))

    graph.triples["test"] = graph.triples["test"][:0]
    found = predict(trained, graph)
    assert before_weighing(found) == pytest.approx(before_weighing(predictions))


@pytest.mark.parametrize("with_paths", [False, True])
@pytest.mark.parametrize("context", ["block-diagonal", "dense"])
def test_where_no_question_is_asked_nothing_is_predicted(
    context: str, with_paths: bool, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = torch.empty((0, 2), dtype=torch.long)
    monkeypatch.setattr(predict_module, "plausible_queries", lambda *_: none)
    model = tiny_model({"model.context": context})
    if with_paths:
        model.set_paths(tiny_paths(graph))
    found = predict(model, graph)
    assert len(found) == 0
    assert found["reasons"].type == pa.list_(PATH)


def test_facts_predicted_with_paths_have_reasons_in_train(graph: Graph) -> None:
    model, train = tiny_model(), labels_of(graph, "train")
    model.set_paths(tiny_paths(graph))
    found = predict(model, graph, top_k=20, confirmed_top_k=5).to_pylist()
    assert [fact for fact in found if fact["reasons"]]
    for fact in found:
        ends = [fact["head"], fact["tail"]]
        asked, answer = ends if fact["asked_for"] == "tail" else reversed(ends)
        weights = [path["weight"] for path in fact["reasons"]]
        assert weights == sorted(weights, reverse=True)
        for path in fact["reasons"]:
            assert set(facts_of(pa.Table.from_pylist(path["facts"]))) <= train
            assert path["weight"] == min(each["weight"] for each in path["facts"])
            first, last = path["facts"][0], path["facts"][-1]
            assert asked in {first["head"], first["tail"]}
            assert answer in {last["head"], last["tail"]}
