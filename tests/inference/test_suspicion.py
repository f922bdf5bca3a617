"""Facts of train that look wrong."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_world import tiny_graph, tiny_model

from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import KnownTails, known_tails_in, with_inverses
from imf_core.inference import suspicion
from imf_core.inference.plausibility import (
    LEAST_AFFINITY,
    estimate_affinities,
    estimate_own_affinities,
)
from imf_core.inference.suspicion import find_suspicious, rate_train
from imf_core.model.imf import IMF
from imf_core.model.scorer import Scorer


def without_query(known: KnownTails, place: int) -> KnownTails:
    """Drops a query with its one answer; the inverse fact is kept."""
    is_kept = torch.arange(len(known.queries)) != place
    start = int(known.offsets[place])
    offsets = torch.cat([known.offsets[: place + 1], known.offsets[place + 2 :] - 1])
    tails = torch.cat([known.tails[:start], known.tails[start + 1 :]])
    return replace(known, queries=known.queries[is_kept], offsets=offsets, tails=tails)


def test_an_own_affinity_is_that_of_an_entity_without_the_fact(graph: Graph) -> None:
    known = known_tails_in(graph, ["train"])
    own = estimate_own_affinities(known, graph.num_relations, known.queries)
    compared = 0
    for place, (entity, relation) in enumerate(known.queries.tolist()):
        num_others = int((known.queries[:, 0] == entity).sum()) - 1
        if known.offsets[place + 1] - known.offsets[place] > 1 or not num_others:
            assert own[place] == 1
            continue
        rest = estimate_affinities(without_query(known, place), graph.num_relations)
        expected = max(rest.of_entity(entity)[relation], LEAST_AFFINITY)
        assert own[place] == pytest.approx(expected, rel=1e-4)
        compared += 1
    assert compared > 20


def corrupted(graph: Graph) -> Graph:
    """Adds a fact with a language where continents are: (e05, in, e19)."""
    train = torch.cat([graph.triples["train"], torch.tensor([[5, 0, 19]])])
    return replace(graph, triples={**graph.triples, "train": train})


def test_a_wrong_fact_is_the_most_suspicious_one(graph: Graph, trained: IMF) -> None:
    found = find_suspicious(corrupted(graph), Scorer(trained), 3).to_pylist()
    assert len(found) == 3
    first = found[0]
    assert (first["head"], first["relation"], first["tail"]) == ("e05", "in", "e19")
    assert first["affinity_tail"] < 0.1
    assert first["further"] < 0.2  # no other country is in two continents
    assert [row["suspicion"] for row in found] == sorted(
        (row["suspicion"] for row in found), reverse=True
    )


def test_the_suspicion_is_the_sum_of_its_parts_above_the_mean_of_the_relation(
    graph: Graph, trained: IMF, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspicion, "PULL", 0)
    rated = rate_train(corrupted(graph), Scorer(trained))
    total = rated.surprise - np.log(rated.affinity).sum(axis=1) - np.log(rated.further)
    relations = rated.facts[:, 1]
    for relation in range(graph.num_relations):
        chosen = relations == relation
        expected = total[chosen] - total[chosen].mean()
        assert rated.suspicion[chosen] == pytest.approx(expected, abs=1e-5)


def test_the_surprise_is_that_of_image_and_text(graph: Graph) -> None:
    model = tiny_model()
    rated = rate_train(graph, Scorer(model))
    known = known_tails_in(graph, ["train"])
    scorer = Scorer(model)
    row = 4
    fact = graph.triples["train"][row : row + 1]
    parts = []
    for query in with_inverses(fact, graph.num_relations):
        scores = scorer.score_all_tails(query[None, :2])
        _, tails = known.lookup(query[None, :2])
        for channel in (1, 2):
            if scores.takes_part[0, channel]:
                probability = scores.log_probs[0, channel].double().exp()
                rivals = probability.sum() - probability[tails].sum()
                true = probability[query[2]]
                parts.append(float(-torch.log(true / (true + rivals))))
    assert rated.surprise[row] == pytest.approx(np.mean(parts), rel=1e-4)


def test_a_model_of_structure_alone_rates_by_the_other_parts(graph: Graph) -> None:
    scorer = Scorer(tiny_model({"model.modalities": ["structure"]}))
    rated = rate_train(corrupted(graph), scorer)
    assert not rated.surprise.any()
    assert int(rated.suspicion.argmax()) == len(rated.facts) - 1


def test_the_share_with_another_answer_leaves_the_question_itself_out() -> None:
    graph = tiny_graph()
    train = torch.tensor([[3, 0, 0], [4, 0, 0], [5, 0, 0], [5, 0, 1], [6, 1, 7]])
    known = known_tails_in(replace(graph, triples={**graph.triples, "train": train}), ["train"])
    share = suspicion._share_with_another(known, train[:, :2])
    # Of the two other questions with one answer none has a second one; one of each kind is added.
    assert share.tolist() == [1, 1, 1 / 4, 1 / 4, 1]
