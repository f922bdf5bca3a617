"""Reasons: the paths of facts that carry a score of the path network.

NBFNet (Zhu et al., NeurIPS 2021, arXiv 2106.06935, section on interpretation) takes as the weight
of an edge the derivative of the score by a factor on the edge's message, and finds the best paths
by beam search. Here, with x^l and u^l of `paths.py`:

    w(v, r, w) = sum over layers l of (d score / d u_v^l) . (x_w^l * r^l)
    w(path)    = the smallest w of its edges

Our choice: the sum over layers, since a path of k edges may use any k layers in order, and the
weakest edge, since a path is as good as its weakest fact. A path names no entity twice.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from imf_core.model.paths import PathGraph, PathNetwork, sum_messages

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
        weight: Derivative of the score by the fact's message in this direction.
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
    triples = graph.entities.triples
    weights = weigh_edges(network, graph, fact)
    kept = weights > 0
    paths = _search(triples[kept].cpu(), weights[kept].cpu(), fact[0], fact[2], limit)
    inverse = graph.entities.inverse
    reasons = []
    for rows in paths:
        # Messages run from an edge's third entity to its first, so a path reads them backwards.
        steps = triples[kept][rows].tolist()
        values = weights[kept][rows].tolist()
        edges = tuple(
            PathEdge(tail, int(inverse[relation]), head, value)
            for (head, relation, tail), value in zip(steps, values, strict=True)
        )
        reasons.append(Reason(edges, min(values)))
    return reasons


def weigh_edges(network: PathNetwork, graph: PathGraph, fact: tuple[int, int, int]) -> Tensor:
    """Returns the weight of every edge for the score of a fact.

    Args:
        network: The network.
        graph: The graph, on the network's device.
        fact: (head, relation with inverses, tail).

    Returns:
        In the order of `graph.entities.triples`, shape: (number of edges,), dtype: float32.
    """
    edges, (head, relation, tail) = graph.entities, fact
    node, kind, neighbour = edges.triples.unbind(dim=1)
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


def _search(triples: Tensor, weights: Tensor, head: int, tail: int, limit: int) -> list[list[int]]:
    """Finds the best paths from `head` to `tail` by beam search.

    Args:
        triples: Edges (entity after, relation, entity before), shape: (K, 3), dtype: long.
        weights: shape: (K,), dtype: float32.
        head: First entity.
        tail: Last entity.
        limit: Paths returned at most.

    Returns:
        Rows of `triples` of each path, the best first.
    """
    leaving: dict[int, list[tuple[float, int, int]]] = {}
    for row, ((after, _, before), weight) in enumerate(
        zip(triples.tolist(), weights.tolist(), strict=True)
    ):
        leaving.setdefault(before, []).append((weight, row, after))
    beam = [(float("inf"), [head], [])]
    found: list[tuple[float, list[int]]] = []
    for _ in range(MAX_EDGES):
        longer: list[tuple[float, list[int], list[int]]] = []
        for weakest, entities, rows in beam:
            for weight, row, after in leaving.get(entities[-1], []):
                if after in entities:
                    continue
                smallest = min(weakest, weight)
                if after == tail:
                    found.append((smallest, [*rows, row]))
                else:
                    longer.append((smallest, [*entities, after], [*rows, row]))
        beam = sorted(longer, key=lambda path: -path[0])[:BEAM]
    return [rows for _, rows in sorted(found, key=lambda path: -path[0])[:limit]]
