"""Measurements of entities held out of the training."""

from collections.abc import Callable

import pytest
import torch
from tiny_world import LOOPED, looped_graph, tiny_graph, tiny_model, tiny_paths
from torch import Tensor

from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import known_tails_in, with_inverses
from imf_core.model.imf import IMF
from recipes.unseen import BATCH, DECISION, MIXED, hold_out, rank_by_channel


def rows_of(facts: Tensor) -> list[tuple[int, ...]]:
    return [tuple(fact) for fact in facts.tolist()]


@pytest.mark.parametrize("seed", [0, 1])
def test_held_out_entities_have_no_fact_and_all_their_facts_are_shown_or_asked(seed: int) -> None:
    graph = tiny_graph()
    held = hold_out(graph, 0.2, seed)
    entities = set(held.entities.tolist())
    assert len(entities) == len(held.entities) == 4
    kept = [fact for each in held.graph.triples.values() for fact in rows_of(each)]
    assert not [fact for fact in kept if entities & {fact[0], fact[2]}]
    shown, asked = rows_of(held.shown), rows_of(held.asked)
    assert all(entities & {fact[0], fact[2]} for fact in shown + asked)
    every = [fact for each in graph.triples.values() for fact in rows_of(each)]
    assert sorted(kept + shown + asked) == sorted(every)
    assert len(asked) - len(shown) in {0, 1}
    for split, facts in held.graph.triples.items():
        assert set(rows_of(facts)) <= set(rows_of(graph.triples[split]))


def score_naively(model: IMF, query: Tensor) -> dict[str, Tensor]:
    """Scores of all entities without the asked one, where train has no loop of the relation."""
    everyone = torch.arange(model.num_entities)
    candidates = everyone
    if not bool(model.has_loops[query[0, 1]]):
        candidates = everyone[everyone != query[0, 0]]
    found = {k: z.log_softmax(dim=1)[0] for k, z in model.logits(query, candidates).items()}
    found[MIXED] = found["textual"] + found["paths"]
    found[DECISION] = model(query, everyone)[0, candidates]
    return {
        name: torch.full((model.num_entities,), -torch.inf).index_copy(0, candidates, each)
        for name, each in found.items()
    }


@torch.no_grad()
def rank_naively(model: IMF, facts: Tensor, graph: Graph) -> dict[str, list[float]]:
    """Counts better and equal entities that no fact of the graph gives, fact by fact."""
    known = {
        fact
        for each in graph.triples.values()
        for fact in rows_of(with_inverses(each, graph.num_relations))
    }
    ranks: dict[str, list[float]] = {}
    for head, relation, tail in facts.tolist():
        scores = score_naively(model, torch.tensor([[head, relation]]))
        others = [e for e in range(graph.num_entities) if (head, relation, e) not in known]
        for name, each in scores.items():
            above = sum(bool(each[other] > each[tail]) for other in others)
            equal = sum(bool(each[other] == each[tail]) for other in others)
            ranks.setdefault(name, []).append(1 + above + equal / 2)
    return ranks


@pytest.mark.parametrize("size", [7, BATCH])
@pytest.mark.parametrize(("make_graph", "loops"), [(tiny_graph, 0), (looped_graph, 2)])
def test_ranks_by_channel_are_those_of_a_loop(
    make_graph: Callable[[], Graph], loops: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recipes.unseen.BATCH", size)
    graph = make_graph()
    model = tiny_model(graph=graph).eval()
    model.mark_unlearned(torch.tensor([4, 9]))
    model.set_paths(tiny_paths(graph))
    triples = torch.cat([graph.triples["test"], graph.triples["train"][-1:]])
    facts = with_inverses(triples, graph.num_relations)
    assert int((facts[:, 0] == facts[:, 2]).sum()) == loops
    assert set(facts[facts[:, 0] == facts[:, 2], 1].tolist()) <= {LOOPED, LOOPED + 3}
    found = rank_by_channel(model, facts, known_tails_in(graph))
    expected = rank_naively(model, facts, graph)
    assert {name: ranks.tolist() for name, ranks in found.items()} == expected
