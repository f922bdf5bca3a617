"""Measurements of the reasons' weight for their answers."""

from itertools import pairwise

import pytest
import torch
from tiny_world import tiny_graph, tiny_paths

from imf_core.paths.channel import PathChannel
from imf_core.paths.path_graph import PathGraph, build_path_graph
from imf_core.paths.reasons import PathEdge, Reason
from recipes import faithfulness
from recipes.faithfulness import draw_alike, measure

R = 3


def path(*entities: int) -> Reason:
    """A path along facts of the relation 1."""
    return Reason(tuple(PathEdge(head, 1, tail, 0.5) for head, tail in pairwise(entities)), 0.5)


def make_graph(facts: list[list[int]]) -> PathGraph:
    return build_path_graph(torch.tensor(facts), 8, R)


def test_drawn_facts_are_of_the_graph_and_of_the_steps_but_not_of_the_path() -> None:
    facts = [[0, 1, 1], [1, 1, 2], [1, 0, 4], [5, 2, 1], [2, 0, 6], [2, 0, 1]]
    graph, reason = make_graph(facts), path(0, 1, 2)
    edges = set(map(tuple, graph.entities.triples.tolist()))
    on_path = {(0, 1, 1), (1, 1, 2)}
    seen = set()
    for seed in range(20):
        drawn = draw_alike(graph, reason, torch.Generator().manual_seed(seed))
        assert drawn is not None
        found = list(map(tuple, drawn.tolist()))
        assert set(found) <= edges
        assert [head for head, _, _ in found] == [1, 2]
        plain = {(h, r, t) if r < R else (t, r - R, h) for h, r, t in found}
        assert len(plain) == len(reason.edges)
        assert not plain & on_path
        seen |= plain
    assert seen == set(map(tuple, facts)) - on_path


@pytest.mark.parametrize(
    "facts",
    [
        [[0, 1, 1], [1, 1, 2], [1, 0, 4]],  # 2 has no further fact
        [[0, 1, 1], [1, 1, 2], [1, 0, 2]],  # 1 and 2 have the same further fact
    ],
)
def test_without_a_further_fact_for_each_step_nothing_is_drawn(facts: list[list[int]]) -> None:
    assert draw_alike(make_graph(facts), path(0, 1, 2), torch.Generator().manual_seed(0)) is None


@pytest.fixture
def channel() -> PathChannel:
    return tiny_paths(tiny_graph())


def test_an_answer_falls_by_the_facts_of_its_first_shown_reason(
    channel: PathChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    triples = tiny_graph().triples["train"]
    head, relation, tail = triples[triples[:, 1] == 1][0].tolist()
    reason = Reason((PathEdge(head, relation, tail, 0.5),), 0.5)
    monkeypatch.setattr(faithfulness, "find_shown", lambda *_: [reason])
    asked = head, 0, tail
    found = measure(channel, asked, torch.Generator().manual_seed(0))
    graphs = channel.graph, channel.graph.without(torch.tensor([[head, relation, tail]]))
    before, after = (
        channel.network.score(graph, torch.tensor([[head, 0]]))[0].log_softmax(0)[tail]
        for graph in graphs
    )
    assert found is not None
    assert found.edges == 1
    assert found.path == pytest.approx(float(before - after))
    assert found.path != found.random


def test_an_answer_without_a_shown_reason_is_not_measured(
    channel: PathChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imf_core.inference.reasons.LEAST_WEIGHT", 2.0)
    for fact in tiny_graph().triples["test"].tolist():
        assert measure(channel, tuple(fact), torch.Generator()) is None
