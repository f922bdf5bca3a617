"""Training rows: (head, relation) queries with some of their known tails, on the CPU."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from imf_core.graph.known_tails import KnownTails, ragged_arange


@dataclass(frozen=True)
class Batch:
    """Rows of one training step.

    Attributes:
        heads: shape: (B,), dtype: long.
        relations: With inverses, shape: (B,), dtype: long.
        offsets: CSR offsets of the rows' positives, shape: (B + 1,), dtype: long.
        tails: Entity ids of the positives, shape: (P,), dtype: long.
    """

    heads: Tensor
    relations: Tensor
    offsets: Tensor
    tails: Tensor


@dataclass(frozen=True)
class QueryRows:
    """All training rows.

    Attributes:
        queries: (head, relation with inverses), shape: (N, 2), dtype: long.
        starts: Position of each row's first tail, shape: (N,), dtype: long.
        sizes: Number of each row's tails, shape: (N,), dtype: long.
        tails: shape: (T,), dtype: long.
    """

    queries: Tensor
    starts: Tensor
    sizes: Tensor
    tails: Tensor

    def __len__(self) -> int:
        return len(self.queries)

    def batches(self, batch_size: int, seed: int) -> Iterator[Batch]:
        """Yields all rows once, in an order that depends on `seed` alone."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self), generator=generator)
        for chosen in order.split(batch_size):
            sizes = self.sizes[chosen]
            _, index = ragged_arange(self.starts[chosen], sizes)
            heads, relations = self.queries[chosen].T.contiguous()
            offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
            yield Batch(heads, relations, offsets, self.tails[index])


def build_rows(known: KnownTails, max_positives: int | None) -> QueryRows:
    """Makes training rows from known answers.

    Args:
        known: Facts of train only.
        max_positives: Largest number of answers per row. A query with more is split, so a few
            queries with thousands of answers do not dominate a batch; None splits none.
    """
    sizes = known.offsets.diff()
    limit = max_positives or int(sizes.max())
    pieces = (sizes + limit - 1) // limit
    query, piece = ragged_arange(torch.zeros_like(pieces), pieces)
    starts = known.offsets[query] + piece * limit
    row_sizes = torch.minimum(known.offsets[query + 1] - starts, torch.tensor(limit))
    return QueryRows(
        queries=known.queries[query],
        starts=starts,
        sizes=row_sizes,
        tails=known.tails,
    )
