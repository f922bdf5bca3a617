"""Paths: queries of the path network against the plain equations and against its floor.

The floor of a query is what no implementation of the equations leaves out: the matrix products of
all layers but the first, and the read of one state per edge in each of them, at the bandwidth of a
sum over sorted rows. States that do not depend on the head, the sum and the normalisation come on
top, so a ratio below 1 shows that states were shared between the queries of a relation. On a graph
of DB15K's shape, with random weights of the public sizes.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.case import Case, time_per_item
from benchmarks.graphs import World, make_db15k_like
from benchmarks.results import Row
from imf_core.paths.network import PathNetwork, PathSpec
from imf_core.paths.path_graph import PathGraph, build_path_graph

PART = "paths"
ROUNDS = 3
SHARED, MIXED = 16, 4

make_world = make_db15k_like


def make_network() -> PathNetwork:
    """Makes a network with the sizes of the public weights."""
    torch.manual_seed(0)
    return PathNetwork(PathSpec()).eval()


def make_path_graph(world: World) -> PathGraph:
    """Builds the graphs of the train facts."""
    graph = world.graph
    return build_path_graph(graph.triples["train"], graph.num_entities, graph.num_relations)


def pick_queries(world: World, count: int, is_shared: bool) -> Tensor:
    """Picks test queries of the most frequent relation, or of different relations."""
    triples = world.graph.triples["test"]
    relations, sizes = triples[:, 1].unique(return_counts=True)
    if is_shared:
        picked = triples[triples[:, 1] == relations[sizes.argmax()]][:count]
    else:
        firsts = [(triples[:, 1] == relation).nonzero()[0, 0] for relation in relations[:count]]
        picked = triples[torch.stack(firsts)]
    return picked[:, :2].contiguous()


def make_scores(world: World, count: int, is_shared: bool) -> Case:
    """Prepares fast scores."""
    network, graph = make_network(), make_path_graph(world)
    queries = pick_queries(world, count, is_shared)
    return Case(lambda: network.score(graph, queries), count)


def make_plain(world: World) -> Case:
    """Prepares the equations with one message per edge, for the queries of one relation."""
    network, graph = make_network(), make_path_graph(world)
    queries = pick_queries(world, 1, is_shared=True)
    edges = graph.entities
    node, kind, neighbour = edges.triples.unbind(dim=1)

    @torch.no_grad()
    def work() -> Tensor:
        z = network.relate(graph, queries[:, 1])[:, 0]
        boundary = z.new_zeros(edges.num_nodes, z.shape[1])
        boundary[queries[0, 0]] = z[queries[0, 1]]
        x = boundary
        for layer in network.entity_layers:
            messages = x[neighbour] * layer.relation_projection(z)[kind]
            u = boundary.index_add(0, node, messages)
            rows = layer.layer_norm(layer.linear(torch.cat([x, u], dim=1)))
            x = x + rows.relu()
        asked = z[queries[0, 1]].expand_as(x)
        scores: Tensor = network.mlp(torch.cat([x, asked], dim=1))
        return scores

    return Case(work, 1)


def make_floor(world: World) -> Case:
    """Prepares the matrix products and the reads of states of one query."""
    spec, edges = PathSpec(), make_path_graph(world).entities
    layers, dim = spec.entity_layers - 1, spec.dim
    tiles = edges.tiles(dim)
    x = torch.randn(edges.num_nodes, dim)
    weight, last = torch.randn(2 * dim, dim), torch.randn(dim, 2 * dim)
    doubled, rows = torch.randn(1 << 10, 2 * dim), torch.randn(1 << 10, dim)
    products = -(-edges.num_nodes // len(rows))

    def work() -> None:
        for _ in range(layers):
            for tile in tiles:
                F.embedding_bag(tile.neighbours, x, tile.starts, mode="sum")
            for _ in range(products):
                torch.mm(doubled, weight)
        for _ in range(products):
            torch.mm(rows, last)

    return Case(work, 1)


CASES: Mapping[str, Callable[[World], Case]] = {
    "one relation": lambda world: make_scores(world, SHARED, is_shared=True),
    "different relations": lambda world: make_scores(world, MIXED, is_shared=False),
    "plain equations": make_plain,
    "floor": make_floor,
}
"""Queries by name in the table."""

NOTES = {
    "one relation": f"{SHARED} heads, which share the states that no head changes",
    "different relations": f"{MIXED} queries of as many relations",
    "plain equations": "one message per edge, summed by index_add, matrices concatenated",
    "floor": "matrix products and reads of states alone",
}


def measure(threads: int) -> list[Row]:
    """Measures queries against the floor and the plain equations."""
    world = make_world()
    seconds = time_per_item({name: make(world) for name, make in CASES.items()}, ROUNDS, threads)
    return [
        *(
            Row(
                PART,
                f"{name} over the floor",
                seconds[name] / seconds["floor"],
                "x",
                "lower",
                None,
                True,
                "the floor is the matrix products and one read of a state per edge and layer",
            )
            for name in ("one relation", "different relations")
        ),
        *(
            Row(
                PART,
                f"{name} against the plain equations",
                seconds["plain equations"] / seconds[name],
                "x",
                "higher",
                None,
                True,
            )
            for name in ("one relation", "different relations")
        ),
        *(
            Row(PART, name, 1 / seconds[name], "queries/s", "higher", None, False, note)
            for name, note in NOTES.items()
        ),
    ]
