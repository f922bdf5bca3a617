"""Paths: a message-passing network conditioned on the query, for graphs that it was not trained on.

ULTRA (Galkin et al., ICLR 2024, arXiv 2310.04562); its layers are those of NBFNet (Zhu et al.,
NeurIPS 2021, arXiv 2106.06935). It has no weights for an entity or a relation, so their number is
free. Both of its networks compute, for edges (v, r, w) and a source node s with vector b:

    x_v^0     = [v = s] b
    u_v^l     = x_v^0 + sum over edges (v, r, w) of x_w^l * r^l        (DistMult, sum)
    x_v^(l+1) = x_v^l + relu(LayerNorm(W^l [x_v^l; u_v^l] + c^l))

The relation network (sections 4.1 and 4.2) runs on the relation graph: its nodes are relations and
inverses; an edge joins two relations that share an entity, as head of both, tail of both, head of
the first and tail of the second, or the reverse. Source: the query's relation, b = 1; r^l
is a learned vector for each of these four. Its last states are z_r. As in the public weights'
training, the source is the relation itself also for a query on its inverse.

The entity network (section 4.3) runs on the facts and their inverses. Source: the query's head,
b = z_q; r^l = MLP^l(z_r). The score of a tail t is MLP([x_t^L; z_q]).

`PathNetwork.forward` computes this as written, with gradients; `PathNetwork.score` computes the
same faster. `path_graph.py` has the graphs and the sum, `reasons.py` explains a score.

B queries, E entities, R relations, D numbers per state; N nodes and T types of edges of a graph.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import cast

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from imf_core.base.artifacts import write_bytes
from imf_core.base.device import fitting_threads
from imf_core.base.errors import DataError
from imf_core.paths.path_graph import (
    META_RELATIONS,
    TILE_ELEMENTS,
    Edges,
    PathGraph,
    Tile,
    sum_messages,
    sum_tile,
)

BATCH_ELEMENTS = 1 << 28
"""Numbers of the states of all entities that a GPU computes at once."""

RELATIONS_AT_ONCE = 8
"""Queries of the relation network at once."""

EDGES_PER_NODE = 4
"""Edges that cost about as much as the matrix products of a node."""


@dataclass(frozen=True)
class PathSpec:
    """Sizes of a path network; the defaults are those of ULTRA's public weights.

    Attributes:
        dim: D.
        relation_layers: Layers of the relation network.
        entity_layers: Layers of the entity network, the length of the longest path seen.
    """

    dim: int = 64
    relation_layers: int = 6
    entity_layers: int = 6


class Layer(nn.Module):
    """A message-passing layer, without the vectors of its types of edges."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * dim, dim)
        self.layer_norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, u: Tensor) -> Tensor:
        """Returns x + relu(LayerNorm(W [x; u] + c)), each of shape (..., D)."""
        own, summed = self.linear.weight.chunk(2, dim=1)
        rows = torch.addmm(self.linear.bias, x.flatten(0, -2), own.T)
        rows = torch.addmm(rows, u.flatten(0, -2), summed.T)
        return x + F.relu(self.layer_norm(rows)).view(x.shape)

    def write(self, x: Tensor, u: Tensor, result: Tensor) -> None:
        """Writes `self(x, u)` to `result`, each of shape (n, D), without gradients."""
        own, summed = self.linear.weight.chunk(2, dim=1)
        rows = torch.addmm(self.linear.bias, x, own.T).addmm_(u, summed.T)
        torch.add(x, self.layer_norm(rows).relu_(), out=result)


class RelationLayer(Layer):
    """A layer of the relation network, with a learned vector for each type of edges."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.relation = nn.Embedding(META_RELATIONS, dim)


class EntityLayer(Layer):
    """A layer of the entity network, which computes its vectors from those of the relations."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.relation_projection = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim)
        )


class PathNetwork(nn.Module):
    """Scores all entities as tails of a query, on any graph."""

    def __init__(self, spec: PathSpec) -> None:
        super().__init__()
        self.spec, dim = spec, spec.dim
        relation_layers = [RelationLayer(dim) for _ in range(spec.relation_layers)]
        entity_layers = [EntityLayer(dim) for _ in range(spec.entity_layers)]
        self.relation_layers = cast(Sequence[RelationLayer], nn.ModuleList(relation_layers))
        self.entity_layers = cast(Sequence[EntityLayer], nn.ModuleList(entity_layers))
        self.mlp = nn.Sequential(nn.Linear(2 * dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, 1))

    def relate(self, graph: PathGraph, relations: Tensor) -> Tensor:
        """Returns z, the states of all relations in the view of each query's relation.

        Args:
            graph: The graph, on the network's device.
            relations: With inverses, which have the states of their relations, shape: (B,), dtype:
                long.

        Returns:
            shape: (2R, B, D).
        """
        types = [layer.relation.weight.unsqueeze(1) for layer in self.relation_layers]
        source = torch.ones_like(types[0][0]).expand(len(relations), -1)
        sources = relations % (graph.relations.num_nodes // 2)
        return _pass(self.relation_layers, graph.relations, sources, source, types)

    def forward(self, graph: PathGraph, queries: Tensor) -> Tensor:
        """Scores all entities, with gradients.

        Args:
            graph: The graph, on the network's device.
            queries: (head, relation with inverses), shape: (B, 2), dtype: long.

        Returns:
            Logits, shape: (B, E), dtype: float32.
        """
        heads, relations = queries.unbind(dim=1)
        num_relations = graph.relations.num_nodes // 2
        views, view = (relations % num_relations).unique(return_inverse=True)
        z = self.relate(graph, views)[:, view]
        z_q = z[relations, torch.arange(len(queries), device=z.device)]
        types = [layer.relation_projection(z) for layer in self.entity_layers]
        x = _pass(self.entity_layers, graph.entities, heads, z_q, types)
        return self.decide(x, z_q).T

    def decide(self, x: Tensor, z_q: Tensor) -> Tensor:
        """Returns MLP([x; z_q]), shapes: (N, B, D), (B, D) -> (N, B)."""
        first, last = cast(nn.Linear, self.mlp[0]), cast(nn.Linear, self.mlp[2])
        own, asked = first.weight.chunk(2, dim=1)
        hidden = F.relu(F.linear(x, own) + F.linear(z_q, asked, first.bias))
        scores: Tensor = last(hidden).squeeze(2)
        return scores

    @torch.no_grad()
    def score(self, graph: PathGraph, queries: Tensor) -> Tensor:
        """Scores all entities, without gradients; faster if many queries share a relation.

            return self(graph, queries)

        Args:
            graph: The graph, on the network's device.
            queries: (head, relation with inverses), shape: (B, 2), dtype: long.

        Returns:
            Logits, shape: (B, E), dtype: float32.
        """
        weight = next(self.parameters())
        scores = weight.new_empty(len(queries), graph.entities.num_nodes)
        if not len(queries):
            return scores
        if queries.is_cuda:
            width = max(graph.entities.num_nodes, len(graph.entities.triples)) * self.spec.dim
            size = max(1, BATCH_ELEMENTS // width)
            for rows, some in zip(scores.split(size), queries.split(size), strict=True):
                rows.copy_(self(graph, some))
            return scores
        with fitting_threads(graph.entities.num_nodes * self.spec.dim):
            self._score_by_relation(graph, queries, scores)
        return scores

    def _score_by_relation(self, graph: PathGraph, queries: Tensor, scores: Tensor) -> None:
        asked = queries[:, 1] % (graph.relations.num_nodes // 2)
        for some in asked.unique().split(RELATIONS_AT_ONCE):
            for relation, z in zip(some, self.relate(graph, some).unbind(dim=1), strict=True):
                rows = (asked == relation).nonzero().flatten().tolist()
                view = _View(self, graph.entities, z)
                for row in rows:
                    head, inverted = queries[row].tolist()
                    scores[row] = view.score(head, inverted, is_alone=len(rows) == 1)


def _pass(
    layers: Sequence[Layer], edges: Edges, sources: Tensor, b: Tensor, types: Sequence[Tensor]
) -> Tensor:
    """Computes x^L of B queries.

    Args:
        layers: The L layers.
        edges: The graph.
        sources: Source node of each query, shape: (B,), dtype: long.
        b: Vector of each source, shape: (B, D).
        types: Vectors of the types of edges in each layer, shape: (T, B, D) or (T, 1, D).

    Returns:
        shape: (N, B, D).
    """
    order = torch.arange(len(sources), device=b.device)
    boundary = b.new_zeros(edges.num_nodes, *b.shape).index_put((sources, order), b)
    x = boundary
    for layer, vectors in zip(layers, types, strict=True):
        x = layer(x, boundary + sum_messages(edges, x, vectors))
    return x


class _View:
    """The entity network for the queries of one relation and its inverse, on a CPU.

    A state changes with the head only within as many steps of it as there were layers. The states
    without any source are computed once for all heads, and only the changed ones for each head,
    until they are a third of the work.
    """

    def __init__(self, network: PathNetwork, edges: Edges, z: Tensor) -> None:
        self.network, self.edges, self.z = network, edges, z.contiguous()
        self.types = [layer.relation_projection(self.z) for layer in network.entity_layers]
        self.tiles = edges.tiles(network.spec.dim)
        self.is_costly = (len(edges.neighbours) + EDGES_PER_NODE * edges.num_nodes) // 3
        self.without_source = [z.new_zeros(edges.num_nodes, network.spec.dim)]

    def score(self, head: int, relation: int, is_alone: bool) -> Tensor:
        """Scores all entities, shape: (E,).

        Args:
            head: The query's head.
            relation: The query's relation.
            is_alone: Whether there is no other query.
        """
        z_q = self.z[relation]
        nodes, values = torch.tensor([head]), z_q.unsqueeze(0)
        tile = self.edges.tile(nodes)
        for number in range(len(self.types)):
            x = self.background(number)
            unchanged = x[nodes]
            x[nodes] = values
            is_reached = torch.zeros(self.edges.num_nodes, dtype=torch.bool)
            is_reached[nodes] = True
            is_reached[tile.neighbours] = True
            reached = is_reached.nonzero().flatten()
            cost = self.edges.count(reached) + EDGES_PER_NODE * len(reached)
            if cost > self.is_costly or (is_alone and number > 0):
                after = self.apply(number, self.tiles, x, (head, z_q))
                x[nodes] = unchanged
                for later in range(number + 1, len(self.types)):
                    after = self.apply(later, self.tiles, after, (head, z_q))
                return self.decide(after, z_q)
            tile = self.edges.tile(reached)
            after = self.apply(number, [tile], x, (head, z_q))
            x[nodes] = unchanged
            nodes, values = reached, after
        x = self.background(len(self.types)).clone()
        x[nodes] = values
        return self.decide(x, z_q)

    def background(self, number: int) -> Tensor:
        """Returns x^number without any source, shape: (E, D)."""
        while len(self.without_source) <= number:
            before = len(self.without_source) - 1
            x = self.without_source[before]
            self.without_source.append(self.apply(before, self.tiles, x))
        return self.without_source[number]

    def apply(
        self, number: int, tiles: list[Tile], x: Tensor, source: tuple[int, Tensor] | None = None
    ) -> Tensor:
        """Applies a layer to the nodes of some tiles.

        Args:
            number: Number of the layer, from 0.
            tiles: n nodes.
            x: States of all nodes, shape: (E, D).
            source: Source node and its vector, None for no source.

        Returns:
            shape: (n, D).
        """
        layer, start = self.network.entity_layers[number], 0
        after = x.new_empty(sum(len(tile.node_starts) for tile in tiles), x.shape[1])
        for tile in tiles:
            u = sum_tile(tile, x, self.types[number])
            if source is not None:
                u[tile.find(source[0])] += source[1]
            stop = start + len(u)
            layer.write(x[tile.nodes], u, after[start:stop])
            start = stop
        return after

    def decide(self, x: Tensor, z_q: Tensor) -> Tensor:
        """Returns the scores of states, shape: (E, D) -> (E,)."""
        size = TILE_ELEMENTS // self.network.spec.dim
        parts = [self.network.decide(each, z_q[None]) for each in x.unsqueeze(1).split(size)]
        return torch.cat(parts).squeeze(1)


UNREADABLE = (
    OSError,
    EOFError,
    SafetensorError,
    UnpicklingError,
    RuntimeError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    ValueError,
)
"""Errors of the libraries for files that are no weights of a path network."""

PUBLIC_NAMES = {
    "relation_model.layers.": "relation_layers.",
    "entity_model.layers.": "entity_layers.",
    "entity_model.mlp.": "mlp.",
}
"""Prefixes of tensors in ULTRA's public weights, and here."""


def save_paths(network: PathNetwork, path: Path) -> None:
    """Writes the weights as safetensors."""
    write_bytes(
        path, save({name: each.contiguous() for name, each in network.state_dict().items()})
    )


GIVE_OTHERS = (
    "give a file that `save_paths` wrote (.safetensors) or one of ULTRA's public weights (.pth)"
)
"""Remedy for a file that is no weights."""


def load_paths(path: Path, remedy: str = GIVE_OTHERS) -> PathNetwork:
    """Reads weights of `save_paths` (`.safetensors`) or ULTRA's public ones (either, or `.pth`).

    Args:
        path: The file.
        remedy: End of the error's message.

    Returns:
        The network on the CPU, in evaluation mode.

    Raises:
        DataError: If the file is missing, damaged or of another network.
    """
    try:
        if path.suffix == ".safetensors":
            found = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)["model"]
        weights = {_rename(name): tensor for name, tensor in found.items()}
        network = PathNetwork(_spec_of(weights))
        network.load_state_dict(weights)
    except UNREADABLE as error:
        raise DataError(
            f"{path} cannot be read as the weights of a path network ({error}); {remedy}"
        ) from error
    return network.eval()


def _rename(name: str) -> str:
    """Returns our name of a tensor; on the hub, public names may follow the name of a wrapper."""
    for public, ours in PUBLIC_NAMES.items():
        if public in name:
            return ours + name.partition(public)[2]
    return name


def _spec_of(weights: dict[str, Tensor]) -> PathSpec:
    """Returns the sizes that the weights show."""
    counts = {
        prefix: len({name.split(".")[1] for name in weights if name.startswith(f"{prefix}.")})
        for prefix in ("relation_layers", "entity_layers")
    }
    return PathSpec(weights["mlp.0.weight"].shape[0] // 2, **counts)
