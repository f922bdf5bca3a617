"""Decided facts in predictions, answers and thresholds, and the queue of facts to decide."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from tiny_world import small_params

from imf_core.base.errors import QuestionError
from imf_core.graph.decided import save_decided
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph, load_graph, with_decided
from imf_core.graph.labels import save_graph
from imf_core.inference import curation
from imf_core.inference.answers import Question
from imf_core.inference.completer import Completer
from imf_core.inference.curation import (
    QUEUE,
    decide_facts,
    find_queue,
    label_facts,
    read_decided_facts,
)
from imf_core.inference.fact_table import NEW, ROLES
from imf_core.inference.model_folder import load, pack
from imf_core.inference.predict import predict_facts
from imf_core.model.decision import Calibration
from imf_core.model.imf import IMF
from imf_core.model.saved import load_config, save_model
from imf_core.prepare.decisions import Decision

Tables = dict[str, FeatureTable]
Open = Callable[..., Completer]

CALIBRATION = Calibration(slope=0.5, offset=-0.25, shown=10, answers=100, true_answers=20)
LOOSE = {"predict.top_k": 500, "predict.min_relation_affinity": 0.0, "predict.answers_per_query": 9}


@pytest.fixture
def open_completer(tmp_path: Path, graph: Graph, tables: Tables, trained: IMF) -> Open:
    """Returns a function that opens the trained model with some facts rejected."""
    save_model(trained, tmp_path, graph, tables, small_params(), {})
    config = load_config(tmp_path)

    def run(*rejected: list[int]) -> Completer:
        facts = torch.tensor(rejected, dtype=torch.long).reshape(-1, 3)
        decided = replace(graph, decided={**graph.decided, "rejected": facts})
        return Completer(decided, tables, trained, config, CALIBRATION)

    return run


def predict(completer: Completer) -> pa.Table:
    params = small_params(LOOSE).predict
    return predict_facts(completer.scorer, CALIBRATION, completer.graph, params)


def ids_of(graph: Graph, row: dict[str, Any]) -> list[int]:
    entities = graph.entity_labels
    return [
        entities.index(row["head"]),
        graph.relation_labels.index(row["relation"]),
        entities.index(row["tail"]),
    ]


def facts_of(table: pa.Table) -> list[tuple[str, str, str]]:
    return list(zip(*(table[role].to_pylist() for role in ROLES), strict=True))


def first_new(table: pa.Table) -> dict[str, Any]:
    return next(row for row in table.to_pylist() if row["known_in"] == NEW)


def test_a_rejected_fact_is_not_predicted(open_completer: Open) -> None:
    before = predict(open_completer())
    row = first_new(before)
    fact = tuple(row[role] for role in ROLES)
    after = predict(open_completer(ids_of(open_completer().graph, row)))
    assert fact in facts_of(before)
    assert fact not in facts_of(after)
    assert "rejected" not in after["known_in"].to_pylist()


def test_a_rejected_answer_is_left_out_and_marked_among_the_known_ones(
    open_completer: Open,
) -> None:
    plain = open_completer()
    question = Question("e05", "speaks", None)
    row = first_new(plain.answer([question], k=3))
    curated = open_completer(ids_of(plain.graph, row))
    assert row["tail"] not in curated.answer([question], k=50)["tail"].to_pylist()
    marked = curated.answer([question], k=50, with_known=True).to_pylist()
    assert {r["tail"]: r["known_in"] for r in marked}[row["tail"]] == "rejected"
    assert curated.known_answers(question, ["rejected"]) == [row["tail_name"]]
    scores = curated.score([("e05", "speaks", row["tail"])])
    assert scores["known_in"].to_pylist() == ["rejected"]


def test_rejected_facts_are_false_in_the_fit_of_thresholds(open_completer: Open) -> None:
    plain = open_completer()
    probable = plain.graph.triples["test"]
    probabilities = plain.fact_scorer.score(probable).probability
    rejected, probability = probable[probabilities.argmax()].tolist(), float(probabilities.max())
    assert probability > plain.thresholds.default
    # Many of them, more than the made ones, move the threshold above their probability.
    curated = open_completer(*[rejected] * 1000).thresholds
    assert curated.default > probability
    assert curated.facts == plain.thresholds.facts == len(plain.graph.triples["valid"])


def test_a_packed_model_keeps_decided_facts_and_an_older_one_has_none(
    open_completer: Open, tmp_path: Path
) -> None:
    row = first_new(predict(open_completer()))
    fact = ids_of(open_completer().graph, row)
    pack(open_completer(fact), tmp_path / "packed")
    assert load(tmp_path / "packed", "cpu").graph.decided["rejected"].tolist() == [fact]
    pack(open_completer(fact), tmp_path / "packed")  # a packed model is replaced
    (tmp_path / "packed/graph/decided.parquet").unlink()
    assert load(tmp_path / "packed", "cpu").graph.decided["rejected"].tolist() == []


def test_decided_facts_are_read_with_the_graph(graph: Graph, tmp_path: Path) -> None:
    save_graph(graph, graph.facts, tmp_path)
    rejected = torch.tensor([[0, 1, 2]])
    decided = {"accepted": graph.decided["accepted"].numpy(), "rejected": rejected.numpy()}
    save_decided(decided, graph.fingerprint, tmp_path)
    found = with_decided(load_graph(tmp_path), tmp_path)
    assert found.decided["rejected"].tolist() == [[0, 1, 2]]
    assert found.facts_digest == graph.facts_digest


def test_the_queue_leaves_decided_facts_out_and_is_the_same_again(open_completer: Open) -> None:
    completer = open_completer()
    proposals = predict(completer)
    queue = find_queue(completer, proposals, [], 12)
    assert queue.schema.equals(QUEUE)
    assert queue.equals(find_queue(completer, proposals, [], 12))
    assert len(queue) == 12
    decided = facts_of(queue)[:5]
    rest = find_queue(completer, proposals, decided, 12)
    assert not set(decided) & set(facts_of(rest))
    assert set(facts_of(queue)[5:]) <= set(facts_of(find_queue(completer, proposals, decided, 99)))


def test_the_queue_takes_three_proposals_and_a_fact_of_train_in_turn(open_completer: Open) -> None:
    completer = open_completer()
    queue = find_queue(completer, predict(completer), [], 8)
    assert queue["kind"].to_pylist() == [*["proposal"] * 3, "train"] * 2
    scores = {
        kind: [row["score"] for row in queue.to_pylist() if row["kind"] == kind]
        for kind in ("proposal", "train")
    }
    assert all(each == sorted(each, reverse=True) for each in scores.values())
    train = [row for row in queue.to_pylist() if row["kind"] == "train"]
    known = completer.score([tuple(row[role] for role in ROLES) for row in train])
    assert known["known_in"].to_pylist() == ["train"] * 2
    assert known["probability"].to_pylist() == [row["probability"] for row in train]


def test_the_score_of_a_proposal_is_as_documented(open_completer: Open) -> None:
    completer = open_completer()
    proposals = predict(completer)
    new = [row for row in proposals.to_pylist() if row["known_in"] == NEW]
    about: dict[str, int] = {}
    for row in new:
        for end in {row["head"], row["tail"]}:
            about[end] = about.get(end, 0) + 1
    for row in find_queue(completer, proposals, [], 500).to_pylist():
        own = row["kind"] == "proposal"
        related = min(about.get(row["head"], 0), about.get(row["tail"], 0)) - own
        assert row["related"] == related
        if own:
            p, t = row["probability"], row["threshold"]
            uncertainty = min(p / t, (1 - p) / (1 - t))
            assert row["score"] == pytest.approx(
                uncertainty * torch.log2(torch.tensor(2.0 + related)).item(), rel=1e-5
            )


def test_an_exhausted_queue_is_empty(open_completer: Open) -> None:
    completer = open_completer()
    proposals = predict(completer)
    everything = facts_of(find_queue(completer, proposals, [], 10_000))
    assert len(find_queue(completer, proposals, everything, 10)) == 0


def test_a_decision_has_the_probability_of_now(open_completer: Open) -> None:
    completer = open_completer()
    fact = ("e05", "speaks", "e19")
    (made,) = decide_facts([fact], "accepted", "Ada", "a book", completer, "5f2c")
    assert made.fact == fact
    probability = completer.score([fact])["probability"].to_pylist()[0]
    assert made.probability == pytest.approx(probability, abs=1e-4)
    assert (made.by, made.note, made.model) == ("Ada", "a book", "5f2c")


def test_without_a_model_a_decision_has_no_probability() -> None:
    (made,) = decide_facts([("e05", "speaks", "e19")], "withdrawn", "Ada")
    assert (made.probability, made.model) == (None, None)


def made(fact: tuple[str, ...], decision: str) -> Decision:
    head, relation, tail = fact
    at = "2026-03-01T09:30:00Z"
    return Decision(head=head, relation=relation, tail=tail, decision=decision, by="Ada", at=at)


def test_facts_are_decided_by_label_or_name(graph: Graph, tmp_path: Path) -> None:
    assert label_facts(graph, [("E05", "speaks", "e19")]) == [("e05", "speaks", "e19")]
    with pytest.raises(QuestionError, match=r"^no entity has the label or name 'nobody'"):
        label_facts(graph, [("nobody", "speaks", "e19")])
    path = tmp_path / "facts.tsv"
    path.write_text("e05\tspeaks\te19\ne05\tspeaks\tnobody\n")
    with pytest.raises(QuestionError, match="fact 2: no entity has the label"):
        read_decided_facts(path, graph)


def test_proposals_in_turn_end_with_what_is_left() -> None:
    assert curation._take_turns(4, 1) == [0, 1, 2, 4, 3]
    assert curation._take_turns(0, 2) == [0, 1]
    assert curation._take_turns(2, 0) == [0, 1]


def test_a_rejected_fact_is_no_answer_with_its_relation(open_completer: Open, graph: Graph) -> None:
    head, tail = graph.entity_labels[:2]
    (first, *_) = open_completer().predict_relations(head, tail).to_pylist()
    after = open_completer(ids_of(graph, first))
    assert first["relation"] not in after.predict_relations(head, tail)["relation"].to_pylist()
    known = after.predict_relations(head, tail, with_known=True).to_pylist()
    standing = {row["relation"]: row["known_in"] for row in known}
    assert standing[first["relation"]] == "rejected"
