"""The known answers of every query, as CSR, for training targets and for filtered ranking."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from imf_core.graph.decided import DECIDED
from imf_core.graph.graph import Graph
from imf_core.graph.labels import SPLITS

SETTLED = ("train", *DECIDED)
"""Facts that are no answers to be found: those of train, and decided ones."""


@dataclass(frozen=True)
class KnownTails:
    """Distinct queries (head, relation with inverses) and their distinct known tails.

    Attributes:
        queries: Sorted by relation, then head, shape: (Q, 2), dtype: long.
        offsets: CSR offsets into `tails`, shape: (Q + 1,), dtype: long.
        tails: Sorted within each query, shape: (T,), dtype: long.
        num_entities: E.
    """

    queries: Tensor
    offsets: Tensor
    tails: Tensor
    num_entities: int

    def lookup(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Finds the known tails of a batch of queries.

        Args:
            queries: shape: (B, 2), dtype: long, on the CPU.

        Returns:
            Row in the batch and tail of each known answer, shapes: (P,), (P,), dtype: long.
        """
        if len(self.queries) == 0:
            return self.tails, self.tails
        position = self.find(queries)
        sizes = torch.where(position < 0, 0, self.offsets[position + 1] - self.offsets[position])
        rows, index = ragged_arange(self.offsets[position], sizes)
        return rows, self.tails[index]

    def find(self, queries: Tensor) -> Tensor:
        """Finds queries among the known ones.

        Args:
            queries: shape: (B, 2), dtype: long, on the CPU.

        Returns:
            Positions in `self.queries`, -1 for an unknown query, shape: (B,), dtype: long.
        """
        if len(self.queries) == 0:
            return torch.full((len(queries),), -1)
        key = _keys(queries, self.num_entities)
        position = torch.searchsorted(self._sorted, key).clamp_max(len(self.queries) - 1)
        return torch.where(self._sorted[position] == key, position, -1)

    def contains(self, queries: Tensor, tails: Tensor) -> Tensor:
        """Returns which facts are known; time and memory do not grow with the tails of a query.

        Args:
            queries: shape: (B, 2), dtype: long, on the CPU.
            tails: Tail of each query, shape: (B,), dtype: long, on the CPU.

        Returns:
            shape: (B,), dtype: bool.
        """
        if len(self.queries) == 0:
            return torch.zeros(len(queries), dtype=torch.bool)
        position = self.find(queries)
        key = position * self.num_entities + tails
        place = torch.searchsorted(self._sorted_facts, key).clamp_max(len(self.tails) - 1)
        return (position >= 0) & (self._sorted_facts[place] == key)

    @cached_property
    def _sorted(self) -> Tensor:
        """All queries, each as one number."""
        return _keys(self.queries, self.num_entities)

    @cached_property
    def _sorted_facts(self) -> Tensor:
        """All facts, each as one number: position of the query and tail, shape: (T,)."""
        positions = torch.repeat_interleave(self.offsets.diff())
        return positions * self.num_entities + self.tails


def _keys(queries: Tensor, num_entities: int) -> Tensor:
    """Returns a sorting key of queries, shape: (N, 2) -> (N,), dtype: long."""
    return queries[:, 1] * num_entities + queries[:, 0]


def with_inverses(triples: Tensor, num_relations: int) -> Tensor:
    """Appends (tail, relation + R, head) for every triple, shape: (N, 3) -> (2N, 3)."""
    head, relation, tail = triples.unbind(dim=1)
    return torch.cat([triples, torch.stack([tail, relation + num_relations, head], dim=1)])


def find_loops(graph: Graph) -> Tensor:
    """Returns which relations, with inverses, join an entity to itself in train.

    Returns:
        shape: (2R,), dtype: bool.
    """
    return find_loops_in(graph.triples["train"], graph.num_relations)


def find_loops_in(triples: Tensor, num_relations: int) -> Tensor:
    """Returns which relations, with inverses, join an entity to itself.

    Args:
        triples: shape: (N, 3), dtype: long.
        num_relations: R, without inverses.

    Returns:
        shape: (2R,), dtype: bool.
    """
    head, relation, tail = triples.unbind(dim=1)
    loops = torch.bincount(relation[head == tail], minlength=num_relations) > 0
    return loops.repeat(2)


def known_tails_in(graph: Graph, splits: Sequence[str] = SPLITS) -> KnownTails:
    """Groups the facts of some splits of a graph by query; by default of all splits.

    Args:
        graph: The graph.
        splits: Names of splits; `accepted` and `rejected` are the decided facts in no split.
    """
    facts = graph.triples | graph.decided
    triples = torch.cat([facts[split] for split in splits])
    return build_known_tails(triples, graph.num_entities, graph.num_relations)


def build_known_tails(triples: Tensor, num_entities: int, num_relations: int) -> KnownTails:
    """Groups triples and their inverses by query.

    Args:
        triples: shape: (N, 3), dtype: long; repeated ones count once.
        num_entities: E.
        num_relations: R, without inverses.
    """
    facts = with_inverses(triples, num_relations)
    key = (facts[:, 1] * num_entities + facts[:, 0]) * num_entities + facts[:, 2]
    key = torch.unique(key)  # sorted
    query, counts = torch.unique_consecutive(key // num_entities, return_counts=True)
    return KnownTails(
        queries=torch.stack([query % num_entities, query // num_entities], dim=1),
        offsets=torch.cat([counts.new_zeros(1), counts.cumsum(0)]),
        tails=key % num_entities,
        num_entities=num_entities,
    )


def ragged_arange(starts: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Concatenates ranges of integers.

    Args:
        starts: First element of each range, shape: (B,), dtype: long.
        sizes: Length of each range, shape: (B,), dtype: long.

    Returns:
        Range number and element, shapes: (P,), (P,), dtype: long.
    """
    rows = torch.repeat_interleave(torch.arange(len(sizes), device=sizes.device), sizes)
    first = sizes.cumsum(0) - sizes
    within = torch.arange(len(rows), device=sizes.device) - first[rows]
    return rows, starts[rows] + within
