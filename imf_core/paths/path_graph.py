"""The two graphs of the path network, and the sum of messages over their edges.

Edges are grouped by (node, type): the neighbours' states are summed in each group, multiplied by
the vector of the type once per group, and summed over the groups of a node. All are done tile by
tile in a CPU's cache. Each edge has its inverse, so the gradient is a sum of the same form.

N nodes, T types of edges, B queries, D numbers per state.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from imf_core.graph.known_tails import ragged_arange, with_inverses

TILE_ELEMENTS = 1 << 19
"""Numbers of the messages summed at once on a CPU, few enough to fit in its cache."""

META_RELATIONS = 4
"""Types of edges of the relation graph: head-head, tail-tail, head-tail, tail-head."""


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
        return Edges(
            self.num_nodes,
            self.inverse.to(device),
            self.neighbours.to(device),
            self.offsets.to(device),
            self.types.to(device),
            self.node_offsets.to(device),
        )

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
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None]:
        (x, types), edges = ctx.saved_tensors, ctx.edges
        gradient = gradient.contiguous()
        of_states = _sum_all(edges, gradient, types[edges.inverse])
        if not ctx.needs_input_grad[1]:
            return of_states, None, None
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
        return of_states, of_types, None


def _sum_all(edges: Edges, x: Tensor, types: Tensor) -> Tensor:
    sums = torch.empty_like(x)
    for tile in edges.tiles(x[0].numel()):
        sums[tile.nodes] = sum_tile(tile, x, types)
    return sums


def sum_tile(tile: Tile, x: Tensor, types: Tensor) -> Tensor:
    """Sums the messages at the nodes of a tile, shape: (n, ...), without gradients."""
    messages = _sum_groups(tile, x).mul_(types.index_select(0, tile.types))
    sums = F.embedding_bag(tile.groups, messages.flatten(1), tile.node_starts, mode="sum")
    return sums.view(-1, *x.shape[1:])


def _sum_groups(tile: Tile, x: Tensor) -> Tensor:
    """Sums the neighbours' states of each group, shape: (p, ...)."""
    sums = F.embedding_bag(tile.neighbours, x.flatten(1), tile.starts, mode="sum")
    return sums.view(-1, *x.shape[1:])
