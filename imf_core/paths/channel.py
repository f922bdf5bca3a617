"""The channel `paths`: a path network with the graph that it reads, for the decision.

Unlike the other channels it has no embeddings: its logits come from the facts around the query's
entity. It takes part in the queries of all entities with a fact.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from imf_core.base.device import to_device, unsharded
from imf_core.graph.graph import Graph
from imf_core.paths.network import PathNetwork, PathSpec
from imf_core.paths.path_graph import PathGraph, build_path_graph

CHANNEL = "paths"
"""Name of the channel."""

NO_ANSWER_LOGIT = -1e9
"""Logit of an impossible answer, as in the other channels."""

MAX_KEPT_LOGITS = 1 << 27
"""Largest number of logits kept for further calls: 512 MiB in float32."""

MAX_BATCH_LOGITS = 1 << 25
"""Largest number of logits at once."""


class PathChannel(nn.Module):
    """Scores all entities as tails of queries by the paths between them.

    Args:
        network: In evaluation mode; call `forget` after a change of its weights.
        graph: The graph, on the CPU.
        answers_known: Whether it takes part in queries of entities that the other channels embed,
            for which its weight in the decision is fitted.

    Attributes:
        has_facts: Whether an entity has facts in the graph, shape: (E,), dtype: bool.
    """

    has_facts: Tensor

    def __init__(self, network: PathNetwork, graph: PathGraph, answers_known: bool = True) -> None:
        super().__init__()
        self.answers_known = answers_known
        self.network = network
        self.register_buffer("has_facts", graph.entities.node_offsets.diff() > 0, persistent=False)
        self._graph = graph
        self._kept: dict[tuple[int, int], Tensor] = {}

    @property
    def graph(self) -> PathGraph:
        """The graph, on the network's device."""
        device = self.has_facts.device
        if self._graph.entities.triples.device != device:
            self._graph = self._graph.to(device)
        return self._graph

    def logits(self, queries: Tensor) -> Tensor:
        """Scores all entities, without gradients; keeps what it computed.

        Args:
            queries: (head, relation with inverses), shape: (B, 2), dtype: long, on the CPU.

        Returns:
            On the network's device, shape: (B, E), dtype: float32.
        """
        asked = [(head, relation) for head, relation in queries.tolist()]
        missing = list(dict.fromkeys(each for each in asked if each not in self._kept))
        rows = to_device(torch.tensor(missing, dtype=torch.long).view(-1, 2), self.has_facts.device)
        scored = self.network.score(self.graph, rows)
        new = dict(zip(missing, scored, strict=True))
        room = MAX_KEPT_LOGITS // len(self.has_facts) - len(self._kept)
        logits = scored.new_empty(len(asked), len(self.has_facts))
        for row, query in enumerate(asked):
            logits[row] = new[query] if query in new else self._kept[query]
        # Copies, since a row of `scored` would keep all of it; the first ones are asked again.
        self._kept |= {query: new[query].clone() for query in missing[: max(0, room)]}
        return logits

    def forget(self) -> None:
        """Drops what it computed, after a change of the network's weights."""
        self._kept.clear()


def build_channel(network: PathNetwork, graph: Graph, answers_known: bool = True) -> PathChannel:
    """Builds the channel of a graph's train facts; see `PathChannel`."""
    sizes = graph.num_entities, graph.num_relations
    return PathChannel(network, build_path_graph(graph.triples["train"], *sizes), answers_known)


class PathScorer:
    """Ranks by paths alone, as `imf_core.evaluation.ranking` asks for.

    Args:
        channel: The channel.
        has_loops: Whether a relation, inverses included, joins an entity to itself in train, shape:
            (2R,), dtype: bool.
    """

    channel_names: tuple[str, ...] = ()

    def __init__(self, channel: PathChannel, has_loops: Tensor) -> None:
        self.channel, self._has_loops = channel, has_loops
        self.shard = unsharded(len(channel.has_facts))

    @property
    def device(self) -> torch.device:
        """Device of the scores."""
        return self.channel.has_facts.device

    def batch_size(self, wanted: int) -> int:
        """Returns the number of queries to score at once, at most `wanted`."""
        return max(1, min(wanted, MAX_BATCH_LOGITS // self.shard.total_rows))

    def scores(self, queries: Tensor) -> Iterator[Tensor]:
        """Yields the logits, the query's own entity last where train has no loop of the relation.

        Args:
            queries: (head, relation with inverses), shape: (B, 2), dtype: long, on the CPU.
        """
        logits = self.channel.logits(queries)
        rows = (~self._has_loops[queries[:, 1]]).nonzero().flatten()
        logits[rows, queries[rows, 0]] = NO_ANSWER_LOGIT
        yield logits


def count_operations(spec: PathSpec, graph: PathGraph) -> int:
    """Counts the floating-point operations of a query alone, about."""
    entities, relations = graph.entities, graph.relations
    return count_pass(
        spec.dim, spec.entity_layers, len(entities.neighbours), entities.num_nodes
    ) + count_pass(spec.dim, spec.relation_layers, len(relations.neighbours), relations.num_nodes)


def count_pass(dim: int, layers: int, num_edges: int, num_nodes: int) -> int:
    """Counts the operations of one of the two networks for a query, about.

    A layer takes 2 D for each edge and 4 D^2 for each node, the last network 4 D^2 for each node.
    """
    return 2 * dim * layers * num_edges + 4 * dim**2 * (layers + 1) * num_nodes


def estimate_bytes(spec: PathSpec, num_facts: int, num_entities: int, num_relations: int) -> int:
    """Estimates the memory of an answer with its reasons.

    States and gradients of all entities in each layer, messages and paths of all edges, and the
    pairs of relations.
    """
    of_entities = 4 * spec.dim * (6 * spec.entity_layers + 8) * num_entities
    of_edges = (12 * spec.dim + 300) * 2 * num_facts
    return of_entities + of_edges + 40 * num_relations**2
