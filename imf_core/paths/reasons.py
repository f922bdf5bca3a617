"""Reasons: the paths of facts that carry a score of the path network.

NBFNet (Zhu et al., NeurIPS 2021, arXiv 2106.06935, section on interpretation) takes as the weight
of an edge the derivative of the score by a factor on the edge's message, and finds the best paths
by beam search. Here, with x^l and u^l of `paths.py`:

    w(v, r, w) = sum over layers l of (d score / d u_v^l) . (x_w^l * r^l)
    w(path)    = the smallest w of its edges, divided by the norm of w

Our choice: the sum over layers, since a path of k edges may use any k layers in order, and the
weakest edge, since a path is as good as its weakest fact. The norm is that over the edges of all
walks from head to tail of at most `MAX_EDGES`: the scale of the scores differs between networks,
and all derivatives are small where a score is saturated. A path names no entity twice. Of a fact
and its reverse under the same relation (a borders b, b borders a), a path takes the heavier one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from imf_core.paths.network import PathNetwork
from imf_core.paths.path_graph import Edges, PathGraph, sum_messages

MAX_EDGES = 3
"""Edges of the longest path; longer ones are hardly read."""

BEAM = 1 << 10
"""Unfinished paths kept after each step."""


@dataclass(frozen=True)
class PathEdge:
    """A step of a path along a fact.

    Attributes:
        head: Entity before the step.
        relation: With inverses: r + R is a step against the fact (tail, r, head).
        tail: Entity after the step.
        weight: Derivative of the score by the fact's message in this direction, divided by the
            norm of all; the squares of all weights sum to one.
    """

    head: int
    relation: int
    tail: int
    weight: float


@dataclass(frozen=True)
class Reason:
    """A path from a query's head to an answer.

    Attributes:
        edges: From the head to the answer, at least one.
        weight: The smallest weight of an edge, positive.
    """

    edges: tuple[PathEdge, ...]
    weight: float


def find_reasons(
    network: PathNetwork, graph: PathGraph, fact: tuple[int, int, int], limit: int = 3
) -> list[Reason]:
    """Finds the paths that carry the score of a fact.

    Args:
        network: The network.
        graph: The graph, on the network's device; remove the fact itself first if it is known.
        fact: (head, relation with inverses, tail), head and tail different.
        limit: Paths returned at most.

    Returns:
        Paths of at most `MAX_EDGES` edges, the best first; empty if no path of edges with positive
        weight was found.
    """
    near = _find_near(graph.entities, fact[0], fact[2])
    if not len(near):
        return []
    weights = F.normalize(weigh_edges(network, graph, fact, near), dim=0)
    kept = weights > 0
    # Messages run from an edge's neighbour to its node, so paths go against it.
    after, relation, before = graph.entities.triples[near[kept]].unbind(dim=1)
    columns = (before, graph.entities.inverse[relation], after, weights[kept])
    rows = zip(*(column.tolist() for column in columns), strict=True)
    edges = sorted((PathEdge(*row) for row in rows), key=lambda edge: -edge.weight)
    heaviest: dict[tuple[int, int, int], PathEdge] = {}
    for edge in edges:
        kind = edge.relation % (len(graph.entities.inverse) // 2)
        heaviest.setdefault((edge.head, kind, edge.tail), edge)
    return _search(list(heaviest.values()), fact[0], fact[2], limit)


def weigh_edges(
    network: PathNetwork, graph: PathGraph, fact: tuple[int, int, int], chosen: Tensor
) -> Tensor:
    """Returns the weights of some edges for the score of a fact.

    Args:
        network: The network.
        graph: The graph, on the network's device.
        fact: (head, relation with inverses, tail).
        chosen: Positions in `graph.entities.triples`, shape: (n,), dtype: long.

    Returns:
        shape: (n,), dtype: float32.
    """
    edges, (head, relation, tail) = graph.entities, fact
    node, kind, neighbour = edges.triples[chosen].unbind(dim=1)
    with torch.no_grad():
        z = network.relate(graph, edges.inverse.new_tensor([relation]))
        types = [layer.relation_projection(z) for layer in network.entity_layers]
        boundary = z.new_zeros(edges.num_nodes, 1, z.shape[2])
        boundary[head] = z[relation]
    x, states, sums = boundary, [], []
    with torch.enable_grad():
        for layer, vectors in zip(network.entity_layers, types, strict=True):
            u = (boundary + sum_messages(edges, x, vectors)).requires_grad_()
            states.append(x)
            sums.append(u)
            x = layer(x, u)
        score = network.decide(x[tail : tail + 1], z[relation]).sum()
    gradients = torch.autograd.grad(score, sums)
    weights = z.new_zeros(len(node))
    for state, gradient, vectors in zip(states, gradients, types, strict=True):
        messages = state.detach()[neighbour, 0] * vectors[kind, 0]
        weights += (gradient[node, 0] * messages).sum(dim=1)
    return weights


def _find_near(edges: Edges, head: int, tail: int) -> Tensor:
    """Finds the edges of all walks of `MAX_EDGES` edges from `head` to `tail`.

    Returns:
        Positions in `edges.triples`, shape: (n,), dtype: long.
    """
    after, _, before = edges.triples.unbind(dim=1)
    reached = []
    for source in (head, tail):
        is_near = torch.zeros(edges.num_nodes, dtype=torch.bool, device=after.device)
        is_near[source] = True
        steps = [is_near]  # entities within 0, 1, ... steps
        for _ in range(MAX_EDGES - 1):
            is_near = is_near.clone()
            is_near[after[is_near[before]]] = True
            steps.append(is_near)
        reached.append(steps)
    is_on_walk = torch.zeros_like(after, dtype=torch.bool)
    for of_head, of_tail in zip(reached[0], reversed(reached[1]), strict=True):
        is_on_walk |= of_head[before] & of_tail[after]
    return is_on_walk.nonzero().flatten()


def _search(edges: Sequence[PathEdge], head: int, tail: int, limit: int) -> list[Reason]:
    """Finds the best paths from `head` to `tail` by beam search, the best first."""
    leaving: dict[int, list[PathEdge]] = {}
    for edge in edges:
        leaving.setdefault(edge.head, []).append(edge)
    near = [{tail}]  # entities within 0, 1, ... steps of the tail
    for _ in range(MAX_EDGES - 1):
        near.append(near[-1] | {edge.head for edge in edges if edge.tail in near[-1]})
    beam: list[tuple[PathEdge, ...]] = [()]
    found: list[tuple[PathEdge, ...]] = []
    for remaining in reversed(range(MAX_EDGES)):
        longer: list[tuple[PathEdge, ...]] = []
        for path in beam:
            visited = {head, *(edge.tail for edge in path)}
            for edge in leaving.get(path[-1].tail if path else head, []):
                if edge.tail in near[remaining] and edge.tail not in visited:
                    (found if edge.tail == tail else longer).append((*path, edge))
        beam = sorted(longer, key=_weigh, reverse=True)[:BEAM]
    best = sorted(found, key=_weigh, reverse=True)[:limit]
    return [Reason(path, _weigh(path)) for path in best]


def _weigh(path: Sequence[PathEdge]) -> float:
    return min(edge.weight for edge in path)
