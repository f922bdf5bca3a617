"""The weights of edges against derivatives, and the paths found by them."""

import pytest
import torch
from torch import Tensor

from imf_core.paths import reasons as path_reasons
from imf_core.paths.network import PathNetwork, PathSpec
from imf_core.paths.path_graph import PathGraph, build_path_graph
from imf_core.paths.reasons import Reason, find_reasons, weigh_edges

NUM_RELATIONS = 3


def make_network() -> PathNetwork:
    torch.manual_seed(0)
    return PathNetwork(PathSpec(4, relation_layers=2, entity_layers=3)).double()


def make_graph() -> PathGraph:
    generator = torch.Generator().manual_seed(1)
    triples = torch.rand(20, 3, generator=generator) * torch.tensor([8, NUM_RELATIONS, 8])
    return build_path_graph(triples.long(), 9, NUM_RELATIONS)


def score_with_factors(network: PathNetwork, graph: PathGraph, factors: Tensor) -> Tensor:
    """Scores of (2, 1, ?) with a factor on the message of every edge in every layer."""
    node, kind, neighbour = graph.entities.triples.T
    z = network.relate(graph, torch.tensor([1]))
    boundary = torch.zeros(9, 1, 4, dtype=torch.double)
    boundary[2] = z[1]
    x = boundary
    for layer in network.entity_layers:
        messages = factors[:, None, None] * x[neighbour] * layer.relation_projection(z)[kind]
        x = layer(x, boundary.index_add(0, node, messages))
    return network.decide(x, z[1]).squeeze(1)


def test_the_weight_of_an_edge_is_the_derivative_by_a_factor_on_its_message() -> None:
    network, graph = make_network(), make_graph()
    factors = torch.ones(len(graph.entities.triples), dtype=torch.double, requires_grad=True)
    scores = score_with_factors(network, graph, factors)
    torch.testing.assert_close(scores, network(graph, torch.tensor([[2, 1]]))[0])
    (expected,) = torch.autograd.grad(scores[5], factors)
    everything = torch.arange(len(factors))
    torch.testing.assert_close(weigh_edges(network, graph, (2, 1, 5), everything), expected)
    some = torch.tensor([7, 3])
    torch.testing.assert_close(weigh_edges(network, graph, (2, 1, 5), some), expected[some])


def weigh(monkeypatch: pytest.MonkeyPatch, graph: PathGraph, weights: dict[tuple, float]) -> None:
    """Gives weights to edges (from, relation with inverses, to) of paths, 0 to all others."""
    inverse = graph.entities.inverse.tolist()
    edges = [(c, inverse[b], a) for a, b, c in graph.entities.triples.tolist()]
    given = torch.tensor([weights.get(edge, 0.0) for edge in edges])
    monkeypatch.setattr(path_reasons, "weigh_edges", lambda *given_to: given[given_to[3]])


def find(graph: PathGraph, limit: int = 3) -> list[tuple[list[tuple[int, int, int]], float]]:
    def plain(reason: Reason) -> tuple[list[tuple[int, int, int]], float]:
        return [(each.head, each.relation, each.tail) for each in reason.edges], reason.weight

    return [plain(each) for each in find_reasons(make_network(), graph, (0, 1, 3), limit)]


def test_paths_come_by_their_weakest_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = [[0, 0, 1], [3, 1, 1], [0, 2, 2], [2, 0, 3], [0, 2, 3], [2, 2, 1]]
    graph = build_path_graph(torch.tensor(facts), 5, NUM_RELATIONS)
    weights = {(0, 0, 1): 0.5, (1, 4, 3): 0.75, (0, 2, 2): 2.0, (2, 0, 3): 0.25, (2, 2, 1): 1.0}
    weigh(monkeypatch, graph, {**weights, (0, 2, 3): 0.125})
    expected = [
        ([(0, 2, 2), (2, 2, 1), (1, 4, 3)], 0.75),
        ([(0, 0, 1), (1, 4, 3)], 0.5),
        ([(0, 2, 2), (2, 0, 3)], 0.25),
        ([(0, 2, 3)], 0.125),
    ]
    norm = sum(each**2 for each in (*weights.values(), 0.125)) ** 0.5
    found = find(graph, limit=4)
    assert [path for path, _ in found] == [path for path, _ in expected]
    assert [weight * norm for _, weight in found] == pytest.approx([each for _, each in expected])
    assert find(graph, limit=2) == found[:2]


def test_a_fact_and_its_reverse_are_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = build_path_graph(torch.tensor([[0, 0, 3], [3, 0, 0]]), 5, NUM_RELATIONS)
    weigh(monkeypatch, graph, {(0, 0, 3): 0.5, (0, 3, 3): 0.75})
    assert [path for path, _ in find(graph)] == [[(0, 3, 3)]]


def test_a_path_names_no_entity_twice_and_has_at_most_three_edges(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    facts = [[0, 0, 1], [1, 0, 0], [1, 0, 2], [2, 0, 4], [4, 0, 3]]
    graph = build_path_graph(torch.tensor(facts), 5, NUM_RELATIONS)
    weigh(monkeypatch, graph, {tuple(fact): 1.0 for fact in facts})
    assert find(graph) == []


def test_edges_against_the_score_make_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = build_path_graph(torch.tensor([[0, 0, 3]]), 5, NUM_RELATIONS)
    weigh(monkeypatch, graph, {(0, 0, 3): -1.0})
    assert find(graph) == []


def test_without_a_walk_between_the_two_entities_nothing_is_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("computed")

    monkeypatch.setattr(path_reasons, "weigh_edges", fail)
    for facts in ([[0, 0, 1], [3, 0, 2]], [[0, 0, 1], [1, 0, 2], [2, 0, 4], [4, 0, 3]]):
        assert find(build_path_graph(torch.tensor(facts), 5, NUM_RELATIONS)) == []


def test_paths_are_facts_of_the_graph_from_head_to_tail() -> None:
    network, graph = make_network(), make_graph()
    with torch.no_grad():  # else most random weights speak against their edges
        network.mlp[2].weight.neg_()
    edges = set(map(tuple, graph.entities.triples.tolist()))
    found = {
        tail: reason
        for tail in (0, 1, *range(3, 8))
        for reason in find_reasons(network, graph, (2, 1, tail), limit=10)
    }
    assert found
    for tail, reason in found.items():
        assert {(each.head, each.relation, each.tail) for each in reason.edges} <= edges
        assert [2, *(each.tail for each in reason.edges)] == [
            *(each.head for each in reason.edges),
            tail,
        ]
        assert reason.weight == min(each.weight for each in reason.edges)
