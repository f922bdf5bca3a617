"""Paths: a message-passing network conditioned on the query, for graphs that it was not trained on.

ULTRA (Galkin et al., ICLR 2024, arXiv 2310.04562); its layers are those of NBFNet (Zhu et al.,
NeurIPS 2021, arXiv 2106.06935). It has no weights for an entity or a relation, so their number is
free. Both of its networks compute, for edges (v, r, w) and a source node s with vector b:

    x_v^0     = [v = s] b
    u_v^l     = x_v^0 + sum over edges (v, r, w) of x_w^l * r^l        (DistMult, sum)
    x_v^(l+1) = x_v^l + relu(LayerNorm(W^l [x_v^l; u_v^l] + c^l))

The relation network (sections 4.1 and 4.2) runs on the relation graph: its nodes are relations and
inverses, its edges tell of two relations that they share an entity, as head of both, tail of both,
head of the first and tail of the second, or the reverse. Source: the query's relation q, b = 1; r^l
is a learned vector for each of these four. Its last states are z_r.

The entity network (section 4.3) runs on the facts and their inverses. Source: the query's head,
b = z_q; r^l = MLP^l(z_r). The score of a tail t is MLP([x_t^L; z_q]).

`PathNetwork.forward` computes this as written, with gradients; `PathNetwork.score` computes the
same faster. `path_reasons.py` explains a score.

B queries, E entities, R relations, D numbers per state; N nodes and T types of edges of either graph.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from imf_core.base.artifacts import write_bytes
from imf_core.base.errors import DataError
from imf_core.graph.known_tails import ragged_arange, with_inverses

TILE_ELEMENTS = 1 << 18
"""Numbers of the messages summed at once on a CPU, few enough to fit in its cache."""

BATCH_ELEMENTS = 1 << 28
"""Numbers of the states of all entities that a GPU computes at once."""

RELATIONS_AT_ONCE = 8
"""Queries of the relation network at once."""

EDGES_PER_NODE = 4
"""Edges that cost about as much as the matrix products of a node."""

META_RELATIONS = 4
"""Types of edges of the relation graph: head-head, tail-tail, head-tail, tail-head."""


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


@dataclass(frozen=True)
class Tile:
    """Some nodes and their edges, grouped by (node, type).

    Attributes:
        nodes: n nodes, ascending.
        neighbours: Other node of each edge, group after group, dtype: int.
        starts: First edge of each of p groups, shape: (p,), dtype: int.
        types: Type of each group, shape: (p,), dtype: int.
        groups: 0 to p - 1, shape: (p,), dtype: int.
        node_starts: First group of each node, shape: (n,), dtype: int.
    """

    nodes: slice | Tensor
    neighbours: Tensor
    starts: Tensor
    types: Tensor
    groups: Tensor
    node_starts: Tensor

    def find(self, node: int) -> slice:
        """Returns the place of a node among `nodes`, an empty slice if it is not one of them."""
        if isinstance(self.nodes, slice):
            place, is_here = node - self.nodes.start, self.nodes.start <= node < self.nodes.stop
        else:
            place = int((self.nodes < node).sum())
            is_here = place < len(self.nodes) and int(self.nodes[place]) == node
        return slice(place, place + 1) if is_here else slice(0, 0)


@dataclass(frozen=True)
class Edges:
    """Edges (node, type, neighbour), each with its inverse, sorted and grouped by (node, type).

    Attributes:
        num_nodes: N.
        inverse: Type of the inverse edges of each type, shape: (T,), dtype: long.
        neighbours: shape: (number of edges,), dtype: int.
        offsets: First edge of each of P groups, and their number, shape: (P + 1,), dtype: long.
        types: Type of each group, shape: (P,), dtype: int.
        node_offsets: First group of each node, and their number, shape: (N + 1,), dtype: long.
    """

    num_nodes: int
    inverse: Tensor
    neighbours: Tensor
    offsets: Tensor
    types: Tensor
    node_offsets: Tensor
    _tiles: dict[int, list[Tile]] = field(default_factory=dict)

    @cached_property
    def triples(self) -> Tensor:
        """All edges, shape: (number of edges, 3), dtype: long."""
        nodes = torch.repeat_interleave(self.node_offsets.diff())
        columns = torch.stack([nodes, self.types.long()], dim=1)
        columns = columns.repeat_interleave(self.offsets.diff(), dim=0)
        return torch.cat([columns, self.neighbours.long()[:, None]], dim=1)

    def to(self, device: torch.device) -> "Edges":
        """Copies the edges to a device."""
        fields = (self.inverse, self.neighbours, self.offsets, self.types, self.node_offsets)
        return Edges(self.num_nodes, *(each.to(device) for each in fields))

    def count(self, nodes: Tensor) -> int:
        """Counts the edges of some nodes."""
        firsts = self.offsets[self.node_offsets]
        return int((firsts[nodes + 1] - firsts[nodes]).sum())

    def tile(self, nodes: Tensor) -> Tile:
        """Gathers the edges of some nodes, ascending, shape: (n,), dtype: long."""
        first = self.node_offsets[nodes]
        sizes = self.node_offsets[nodes + 1] - first
        _, groups = ragged_arange(first, sizes)
        lengths = self.offsets[groups + 1] - self.offsets[groups]
        _, edges = ragged_arange(self.offsets[groups], lengths)
        starts = [(each.cumsum(0) - each).int() for each in (lengths, sizes)]
        order = torch.arange(len(groups), dtype=torch.int, device=nodes.device)
        return Tile(nodes, self.neighbours[edges], starts[0], self.types[groups], order, starts[1])

    def tiles(self, width: int) -> list[Tile]:
        """Cuts all nodes into tiles for states of `width` numbers; a GPU takes them all at once."""
        if width not in self._tiles:
            ends = self.node_offsets[1:] + torch.arange(1, self.num_nodes + 1).to(self.offsets)
            size = TILE_ELEMENTS // width if self.offsets.device.type == "cpu" else int(ends[-1])
            part = (ends - 1) // max(1, size)
            stops = part.unique_consecutive(return_counts=True)[1].cumsum(0).tolist()
            bounds = zip([0, *stops], stops, strict=False)
            self._tiles[width] = [self._slice(start, stop) for start, stop in bounds]
        return self._tiles[width]

    def _slice(self, start: int, stop: int) -> Tile:
        """Returns the tile of neighbouring nodes."""
        first, last = self.node_offsets[[start, stop]].tolist()
        low, high = self.offsets[[first, last]].tolist()
        return Tile(
            slice(start, stop),
            self.neighbours[low:high],
            (self.offsets[first:last] - low).int(),
            self.types[first:last],
            torch.arange(last - first, dtype=torch.int, device=self.types.device),
            (self.node_offsets[start:stop] - first).int(),
        )


def build_edges(triples: Tensor, num_nodes: int, inverse: Tensor) -> Edges:
    """Sorts and groups edges; repeated ones count once.

    Args:
        triples: (node, type, neighbour) with their inverses, shape: (number, 3), dtype: long.
        num_nodes: N.
        inverse: As in `Edges`.
    """
    node, kind, neighbour = triples.unbind(dim=1)
    key = ((node * len(inverse) + kind) * num_nodes + neighbour).unique()
    group, sizes = (key // num_nodes).unique_consecutive(return_counts=True)
    of_node = torch.bincount(group // len(inverse), minlength=num_nodes)
    offsets, node_offsets = (F.pad(each.cumsum(0), (1, 0)) for each in (sizes, of_node))
    types, neighbours = (group % len(inverse)).int(), (key % num_nodes).int()
    return Edges(num_nodes, inverse, neighbours, offsets, types, node_offsets)


@dataclass(frozen=True)
class PathGraph:
    """The two graphs of the network.

    Attributes:
        entities: Facts and their inverses; N is E, T is 2R.
        relations: The relation graph; N is 2R, T is 4.
    """

    entities: Edges
    relations: Edges

    def to(self, device: torch.device) -> "PathGraph":
        """Copies the graph to a device."""
        return PathGraph(self.entities.to(device), self.relations.to(device))

    def without(self, triples: Tensor) -> "PathGraph":
        """Removes facts and their inverses; the relation graph keeps what they contributed.

        Args:
            triples: (head, relation with inverses, tail), shape: (N, 3), dtype: long.
        """
        edges, size = self.entities, self.entities.num_nodes
        head, relation, tail = triples.unbind(dim=1)
        inverses = torch.stack([tail, edges.inverse[relation], head], dim=1)
        scale = triples.new_tensor([len(edges.inverse) * size, size, 1])
        removed, keys = (
            (each * scale).sum(dim=1) for each in (torch.cat([triples, inverses]), edges.triples)
        )
        kept = edges.triples[torch.isin(keys, removed, invert=True)]
        return PathGraph(build_edges(kept, size, edges.inverse), self.relations)


def build_path_graph(triples: Tensor, num_entities: int, num_relations: int) -> PathGraph:
    """Builds both graphs on the CPU.

    Args:
        triples: Facts (head, relation, tail), shape: (number, 3), dtype: long, on the CPU.
        num_entities: E.
        num_relations: R, without inverses.
    """
    inverse = torch.arange(2 * num_relations).roll(num_relations)
    entities = build_edges(with_inverses(triples, num_relations), num_entities, inverse)
    return PathGraph(entities, _relate(entities))


def _relate(entities: Edges) -> Edges:
    """Builds the relation graph.

    An entity is the tail of r where it is the head of its inverse, so all four types follow from
    the relations that share a head.
    """
    sizes, types = entities.node_offsets.diff(), entities.types.long()
    share_head = torch.zeros(2 * (len(entities.inverse),), dtype=torch.bool)
    of_group = torch.repeat_interleave(sizes)
    first, size = entities.node_offsets[of_group], sizes[of_group]
    for some in torch.arange(len(types)).split(1 << 16):
        rows, others = ragged_arange(first[some], size[some])
        share_head[types[some][rows], types[others]] = True
    turned = share_head[:, entities.inverse]
    both = turned[entities.inverse]
    meta = torch.stack([share_head, both, turned, share_head[entities.inverse]], dim=1)
    return build_edges(meta.nonzero(), len(entities.inverse), torch.tensor([0, 1, 3, 2]))


def sum_messages(edges: Edges, x: Tensor, types: Tensor) -> Tensor:
    """Sums the messages at every node.

        node, kind, neighbour = edges.triples.T
        return torch.zeros_like(x).index_add(0, node, x[neighbour] * types[kind])

    Args:
        edges: The graph.
        x: States, shape: (N, B, D).
        types: Vectors of the types of edges, shape: (T, B, D) or (T, 1, D).

    Returns:
        shape: (N, B, D).
    """
    sums: Tensor = _SumMessages.apply(x, types, edges)  # type: ignore[no-untyped-call]
    return sums


class _SumMessages(torch.autograd.Function):
    """Sums tile by tile; the gradient of the states is a sum over the inverse edges."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, types: Tensor, edges: Edges) -> Tensor:
        ctx.save_for_backward(x, types)
        ctx.edges = edges
        return _sum_all(edges, x, types)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        (x, types), edges = ctx.saved_tensors, ctx.edges
        gradient = gradient.contiguous()
        of_types = torch.zeros_like(types)
        for tile in edges.tiles(x[0].numel()):
            sums = _sum_groups(tile, x)
            counts = F.pad(tile.node_starts, (0, 1), value=len(tile.types)).diff()
            sums *= gradient[tile.nodes].repeat_interleave(counts, dim=0)
            by_type = tile.types.argsort(stable=True)
            present, sizes = tile.types.unique(return_counts=True)
            starts = sizes.cumsum(0) - sizes
            summed = F.embedding_bag(by_type, sums.flatten(1), starts, mode="sum")
            summed = summed.view(-1, *x.shape[1:]).sum_to_size(len(present), *types.shape[1:])
            of_types.index_add_(0, present, summed)
        return _sum_all(edges, gradient, types[edges.inverse]), of_types, None


def _sum_all(edges: Edges, x: Tensor, types: Tensor) -> Tensor:
    sums = torch.empty_like(x)
    for tile in edges.tiles(x[0].numel()):
        sums[tile.nodes] = _sum_tile(tile, x, types)
    return sums


def _sum_tile(tile: Tile, x: Tensor, types: Tensor) -> Tensor:
    """Sums the messages at the nodes of a tile, shape: (n, B, D), without gradients."""
    messages = _sum_groups(tile, x).mul_(types.index_select(0, tile.types))
    sums = F.embedding_bag(tile.groups, messages.flatten(1), tile.node_starts, mode="sum")
    return sums.view(-1, *x.shape[1:])


def _sum_groups(tile: Tile, x: Tensor) -> Tensor:
    """Sums the neighbours' states of each group, shape: (p, B, D)."""
    sums = F.embedding_bag(tile.neighbours, x.flatten(1), tile.starts, mode="sum")
    return sums.view(-1, *x.shape[1:])


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
        self.relation_layers = nn.ModuleList(
            RelationLayer(dim) for _ in range(spec.relation_layers)
        )
        self.entity_layers = nn.ModuleList(EntityLayer(dim) for _ in range(spec.entity_layers))
        self.mlp = nn.Sequential(nn.Linear(2 * dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, 1))

    def relate(self, graph: PathGraph, relations: Tensor) -> Tensor:
        """Returns z, the states of all relations in the view of each query's relation.

        Args:
            graph: The graph, on the network's device.
            relations: With inverses, shape: (B,), dtype: long.

        Returns:
            shape: (2R, B, D).
        """
        source = self.mlp[0].weight.new_ones(len(relations), self.spec.dim)
        types = [layer.relation.weight.unsqueeze(1) for layer in self.relation_layers]
        return _pass(self.relation_layers, graph.relations, relations, source, types)

    def forward(self, graph: PathGraph, queries: Tensor) -> Tensor:
        """Scores all entities, with gradients.

        Args:
            graph: The graph, on the network's device.
            queries: (head, relation with inverses), shape: (B, 2), dtype: long.

        Returns:
            Logits, shape: (B, E), dtype: float32.
        """
        heads, relations = queries.unbind(dim=1)
        z = self.relate(graph, relations)
        z_q = z[relations, torch.arange(len(queries), device=z.device)]
        types = [layer.relation_projection(z) for layer in self.entity_layers]
        x = _pass(self.entity_layers, graph.entities, heads, z_q, types)
        return self.decide(x, z_q).T

    def decide(self, x: Tensor, z_q: Tensor) -> Tensor:
        """Returns MLP([x; z_q]), shapes: (N, B, D), (B, D) -> (N, B)."""
        first, last = self.mlp[0], self.mlp[2]
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
        scores = self.mlp[0].weight.new_empty(len(queries), graph.entities.num_nodes)
        if queries.is_cuda:
            width = max(graph.entities.num_nodes, len(graph.entities.triples)) * self.spec.dim
            size = max(1, BATCH_ELEMENTS // width)
            for rows, some in zip(scores.split(size), queries.split(size), strict=True):
                rows.copy_(self(graph, some))
            return scores
        asked, query_of = queries[:, 1].unique(return_inverse=True)
        for start in range(0, len(asked), RELATIONS_AT_ONCE):
            z = self.relate(graph, asked[start : start + RELATIONS_AT_ONCE])
            for place in range(z.shape[1]):
                rows = (query_of == start + place).nonzero().flatten()
                view = _View(self, graph.entities, z[:, place], int(asked[start + place]))
                for row in rows.tolist():
                    scores[row] = view.score(int(queries[row, 0]), is_alone=len(rows) == 1)
        return scores


def _pass(
    layers: nn.ModuleList, edges: Edges, sources: Tensor, b: Tensor, types: Sequence[Tensor]
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
    """The entity network for the queries of one relation, on a CPU.

    A state changes with the head only within as many steps of it as there were layers. The states
    without any source are computed once for all heads, and only the changed ones for each head,
    until they are about half of the work.
    """

    def __init__(self, network: PathNetwork, edges: Edges, z: Tensor, relation: int) -> None:
        self.network, self.edges, self.z_q = network, edges, z[relation].clone()
        self.types = [
            layer.relation_projection(z).unsqueeze(1) for layer in network.entity_layers
        ]
        self.tiles = edges.tiles(network.spec.dim)
        self.is_costly = (len(edges.neighbours) + EDGES_PER_NODE * edges.num_nodes) // 3
        self.without_source = [z.new_zeros(edges.num_nodes, network.spec.dim)]
        self.scores_without_source: Tensor | None = None

    def score(self, head: int, is_alone: bool) -> Tensor:
        """Scores all entities, shape: (E,).

        Args:
            head: The query's head.
            is_alone: Whether no other query has this relation.
        """
        nodes, values = torch.tensor([head]), self.z_q.unsqueeze(0)
        tile = self.edges.tile(nodes)
        for number in range(len(self.types)):
            x = self.background(number)
            unchanged = x[nodes]
            x[nodes] = values
            reached = torch.zeros(self.edges.num_nodes, dtype=torch.bool)
            reached[nodes] = True
            reached[tile.neighbours] = True
            wider = reached.nonzero().flatten()
            cost = self.edges.count(wider) + EDGES_PER_NODE * len(wider)
            if cost > self.is_costly or (is_alone and number > 0):
                after = self.apply(number, self.tiles, x, head)
                x[nodes] = unchanged
                for later in range(number + 1, len(self.types)):
                    after = self.apply(later, self.tiles, after, head)
                return self.decide(after)
            tile = self.edges.tile(wider)
            after = self.apply(number, [tile], x, head)
            x[nodes] = unchanged
            nodes, values = wider, after
        if self.scores_without_source is None:
            self.scores_without_source = self.decide(self.background(len(self.types)))
        scores = self.scores_without_source.clone()
        scores[nodes] = self.decide(values)
        return scores

    def background(self, number: int) -> Tensor:
        """Returns x^number without any source, shape: (E, D)."""
        while len(self.without_source) <= number:
            before = len(self.without_source) - 1
            self.without_source.append(
                self.apply(before, self.tiles, self.without_source[before], None)
            )
        return self.without_source[number]

    def apply(self, number: int, tiles: list[Tile], x: Tensor, head: int | None) -> Tensor:
        """Applies a layer to the nodes of some tiles, shape: (n, D)."""
        layer, parts = self.network.entity_layers[number], []
        for tile in tiles:
            u = _sum_tile(tile, x.unsqueeze(1), self.types[number]).squeeze(1)
            if head is not None:
                u[tile.find(head)] += self.z_q
            parts.append(layer(x[tile.nodes], u))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def decide(self, x: Tensor) -> Tensor:
        """Returns the scores of states, shape: (n, D) -> (n,)."""
        size = TILE_ELEMENTS // self.network.spec.dim
        parts = [self.network.decide(each, self.z_q) for each in x.unsqueeze(1).split(size)]
        return torch.cat(parts).squeeze(1)


PUBLIC_NAMES = {
    "relation_model.layers.": "relation_layers.",
    "entity_model.layers.": "entity_layers.",
    "entity_model.mlp.": "mlp.",
}
"""Prefixes of tensors in ULTRA's public weights, and here."""


def save_paths(network: PathNetwork, path: Path) -> None:
    """Writes the weights as safetensors."""
    write_bytes(path, save({name: each.contiguous() for name, each in network.state_dict().items()}))


def load_paths(path: Path) -> PathNetwork:
    """Reads weights of `save_paths` (`.safetensors`) or ULTRA's public ones (`.pth`).

    Returns:
        The network on the CPU, in evaluation mode.

    Raises:
        DataError: If the file is missing, damaged or of another network.
    """
    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            public = torch.load(path, map_location="cpu", weights_only=True)["model"]
            weights = {_rename(name): tensor for name, tensor in public.items()}
        network = PathNetwork(_spec_of(weights))
        network.load_state_dict(weights)
    except (OSError, SafetensorError, UnpicklingError, RuntimeError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read as the weights of a path network ({error}); give a file that "
            "`save_paths` wrote (.safetensors) or one of ULTRA's public weights (.pth)"
        ) from error
    return network.eval()


def _rename(name: str) -> str:
    prefix = next((each for each in PUBLIC_NAMES if name.startswith(each)), "")
    return PUBLIC_NAMES.get(prefix, "") + name.removeprefix(prefix)


def _spec_of(weights: dict[str, Tensor]) -> PathSpec:
    """Returns the sizes that the weights show."""
    counts = {
        prefix: len({name.split(".")[1] for name in weights if name.startswith(f"{prefix}.")})
        for prefix in ("relation_layers", "entity_layers")
    }
    return PathSpec(weights["mlp.0.weight"].shape[0] // 2, **counts)
