"""Facts of unseen and known entities, added without training."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_world import COUNTRIES, small_params, tiny_graph, tiny_model, tiny_paths, tiny_tables

from imf_core.base.errors import ConfigError, QuestionError
from imf_core.inference.completer import Completer
from imf_core.inference.model_folder import pack
from imf_core.inference.unseen_entity import UnseenEntity
from imf_core.model.decision import Calibration
from imf_core.model.saved import SavedModel, SavedPaths

IDENTITY = Calibration(slope=1.0, offset=0.0, shown=10, answers=1, true_answers=1)


def completer(with_paths: bool) -> Completer:
    graph, model, params = tiny_graph(), tiny_model(), small_params()
    if with_paths:
        model.set_paths(tiny_paths(graph))
    config = SavedModel(
        graph_fingerprint=graph.fingerprint,
        facts_digest=graph.facts_digest,
        heads=list(model.channel_names),
        model=params.model,
        fusion=params.fusion,
        paths=SavedPaths(dim=8, relation_layers=2, entity_layers=3) if with_paths else None,
        features={},
        training={},
    )
    return Completer(graph, tiny_tables(), model.eval(), config, IDENTITY)


@pytest.fixture(params=[False, True], ids=["without paths", "with paths"])
def world(request: pytest.FixtureRequest) -> Completer:
    return completer(request.param)


def label(number: int) -> str:
    return tiny_graph().entity_labels[number]


def facts_of(number: int, name: str) -> list[tuple[str, str, str]]:
    """The train facts of an entity, with another entity in its place."""
    graph = tiny_graph()
    found = []
    for head, relation, tail in graph.triples["train"].tolist():
        if number in (head, tail):
            ends = [name if end == number else label(end) for end in (head, tail)]
            found.append((ends[0], graph.relation_labels[relation], ends[1]))
    return found


def test_an_unseen_entity_with_facts_is_asked_about_and_answers(world: Completer) -> None:
    known = facts_of(COUNTRIES[1], "Newland")
    _, relation, tail = next(fact for fact in known if fact[0] == "Newland")
    grown = world.with_unseen_entities(facts=known)
    everyone = tiny_graph().num_entities + 1
    answers = grown.predict_tails("Newland", relation, k=everyone).to_pylist()
    assert tail not in {row["tail"] for row in answers}
    assert {row["share_structural"] for row in answers} == {0.0}
    assert max(row["share_paths"] for row in answers) == 1.0
    heads = grown.predict_heads(relation, tail, k=everyone, with_known=True)["head"].to_pylist()
    assert "Newland" in heads


def log_odds(rows: list[dict[str, Any]], channel: str) -> dict[str, float]:
    """Log-probabilities of tails in a channel, less that of the first entity of the graph."""
    column = f"log_prob_{channel}"
    first = next(row[column] for row in rows if row["tail"] == label(0))
    return {row["tail"]: row[column] - first for row in rows if row["tail"] != "Newland"}


def test_answers_about_other_entities_change_by_paths_alone(world: Completer) -> None:
    relation = tiny_graph().relation_labels[2]
    other = label(COUNTRIES[6])
    before = world.predict_tails(other, relation, k=99).to_pylist()
    grown = world.with_unseen_entities(facts=[("Newland", relation, label(COUNTRIES[2]))])
    after = grown.predict_tails(other, relation, k=99).to_pylist()
    for channel in world.scorer.model.channels:
        expected = log_odds(before, channel)
        assert len(expected) > 15
        assert log_odds(after, channel) == pytest.approx(expected, abs=1e-5)
    if not world.scorer.model.paths:
        kept = [row["tail"] for row in after if row["tail"] != "Newland"]
        assert kept == [row["tail"] for row in before]
        assert {row["share_paths"] for row in after} == {0.0}


@pytest.mark.parametrize("k", [0, 1])
def test_a_model_with_paths_gives_as_many_reasons_as_asked_for(k: int) -> None:
    model = completer(True)
    answers = model.predict_tails(label(COUNTRIES[6]), tiny_graph().relation_labels[2], k=20)
    found = model.reasons(answers, k=k)["answer"].to_pylist()
    assert len(set(found)) == len(found)
    assert bool(found) == bool(k)
    with pytest.raises(QuestionError, match="k = -1"):
        model.reasons(answers, k=-1)


def test_a_new_fact_of_known_entities_is_known(world: Completer) -> None:
    relation = tiny_graph().relation_labels[0]
    head = label(COUNTRIES[6])
    first = world.predict_tails(head, relation, k=1)["tail"][0].as_py()
    grown = world.with_unseen_entities(facts=[(head, relation, first)])
    assert first not in grown.predict_tails(head, relation, k=99)["tail"].to_pylist()
    row = grown.predict_tails(head, relation, k=99, with_known=True).to_pylist()
    assert {each["known_in"] for each in row if each["tail"] == first} == {"train"}
    assert world.predict_tails(head, relation, k=1)["tail"][0].as_py() == first


def test_many_at_once_with_and_without_facts(world: Completer) -> None:
    relation = tiny_graph().relation_labels[0]
    text = UnseenEntity("Textland", features={"text": torch.ones(6)})
    grown = world.with_unseen_entities([text], [("A", relation, "B"), ("A", relation, "A")])
    assert grown.graph.entity_labels[-3:] == ["Textland", "A", "B"]
    answers = grown.predict_heads(relation, "B", k=99, with_known=True)
    assert {"A"} <= set(answers["head"].to_pylist())
    assert "Textland" not in answers["head"].to_pylist()
    assert grown.predict_tails("Textland", relation, k=1).num_rows == 1


@pytest.mark.parametrize(
    ("entities", "facts", "message"),
    [
        ([], [], "neither"),
        ([UnseenEntity("Alone")], [], "Alone.*no input"),
        ([UnseenEntity("Alone")], [("A", 0, "B")], "Alone.*no input"),
        ([], [("A", "no such relation", "B")], "no such relation"),
        ([UnseenEntity(label(3))], [(label(3), 0, "B")], "has .* already"),
        ([], [("", 0, "B")], "empty"),
    ],
)
def test_what_cannot_be_added_is_refused(
    entities: list[UnseenEntity], facts: list[tuple[str, str | int, str]], message: str
) -> None:
    relations = tiny_graph().relation_labels
    named = [
        (head, relations[relation] if isinstance(relation, int) else relation, tail)
        for head, relation, tail in facts
    ]
    with pytest.raises(QuestionError, match=message):
        completer(True).with_unseen_entities(entities, named)


def test_facts_may_be_added_in_turn(world: Completer) -> None:
    relation = tiny_graph().relation_labels[0]
    facts = [("A", relation, label(COUNTRIES[2])), ("B", relation, "A")]
    in_turn = world.with_unseen_entities(facts=facts[:1]).with_unseen_entities(facts=facts[1:])
    at_once = world.with_unseen_entities(facts=facts)
    first, second = (
        each.predict_tails("B", relation, k=5, with_known=True) for each in (in_turn, at_once)
    )
    assert first.equals(second)


def test_facts_that_train_has_change_nothing(world: Completer) -> None:
    graph = tiny_graph()
    head, relation, tail = graph.triples["train"][0].tolist()
    fact = (label(head), graph.relation_labels[relation], label(tail))
    grown = world.with_unseen_entities(facts=[fact])
    assert torch.equal(grown.graph.triples["train"], graph.triples["train"])


def test_a_model_with_new_facts_is_not_packed(world: Completer, tmp_path: Path) -> None:
    relation, ends = tiny_graph().relation_labels[0], (label(COUNTRIES[6]), label(COUNTRIES[7]))
    facts = [(ends[0], relation, ends[1]), (ends[1], relation, ends[0])]
    with pytest.raises(ConfigError, match="new facts cannot be packed"):
        pack(world.with_unseen_entities(facts=facts), tmp_path / "model")
