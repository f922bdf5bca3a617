"""Contextual relational model (paper section 3.4): the relation transforms the head embedding.

Both forms turn (head embedding, relation) into a context vector whose dot product with an entity
embedding is the logit of that entity as the tail: `z(h, r, t) = (e_h C(r)) . e_t`.
"""

from typing import Protocol

import torch
from torch import Tensor, nn


class Context(Protocol):
    """What a scorer asks of a context form."""

    def __call__(self, heads: Tensor, relation_table: Tensor, relations: Tensor) -> Tensor:
        """Transforms heads (B, D) under relations (B,) of the table (2R, D_r) into (B, D)."""
        ...

    def moduli(self, factors: Tensor) -> Tensor:
        """Returns the magnitudes the N3 penalty cubes, shape: (N, D) -> (N, D or D / 2)."""
        ...


class BlockDiagonalContext(nn.Module):
    """`C(r)` made of 2 x 2 rotation-scalings, D_r = D; the score is that of ComplEx.

    Our choice, a cheap special case of the dense form: D parameters a relation in place of a
    shared D_r x D x D core (Trouillon et al., ICML 2016, arXiv 1606.06357).
    """

    def forward(self, heads: Tensor, relation_table: Tensor, relations: Tensor) -> Tensor:
        """Multiplies complex numbers coordinate by coordinate; see `Context`."""
        real, imaginary = heads.chunk(2, dim=1)
        context_real, context_imaginary = relation_table.index_select(0, relations).chunk(2, dim=1)
        return torch.cat(
            [
                real * context_real - imaginary * context_imaginary,
                real * context_imaginary + imaginary * context_real,
            ],
            dim=1,
        )

    def moduli(self, factors: Tensor) -> Tensor:
        """Returns the complex moduli, shape: (N, D) -> (N, D / 2)."""
        real, imaginary = factors.chunk(2, dim=1)
        # The small constant keeps the gradient of the root finite at zero.
        return (real.square() + imaginary.square() + 1e-12).sqrt()


class DenseContext(nn.Module):
    """`C(r) = core x_1 r`, a full D x D matrix per relation, as TuckER and the released code.

    The matrices are made once for the batch's distinct relations, and queries are grouped by
    relation, so that no matrix per query is ever held. Groups of about one size are multiplied at
    once.

    Args:
        relation_dim: D_r.
        dim: D.
    """

    def __init__(self, relation_dim: int, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.core = nn.Parameter(torch.empty(relation_dim, dim * dim))
        nn.init.normal_(self.core, std=(relation_dim * dim) ** -0.5)

    def forward(self, heads: Tensor, relation_table: Tensor, relations: Tensor) -> Tensor:
        """Applies each distinct relation's matrix to its group of queries; see `Context`."""
        distinct, group, sizes = relations.unique(return_inverse=True, return_counts=True)
        sizes, by_size = sizes.sort(stable=True)
        vectors = relation_table.index_select(0, distinct[by_size])
        contexts = (vectors @ self.core).view(-1, self.dim, self.dim)
        order = by_size.argsort()[group].argsort(stable=True)
        buckets = _buckets(sizes)
        # Split, not sliced: a slice's gradient is as large as what it was cut from.
        parts = contexts.split([stop - start for start, stop, _ in buckets])
        products = [
            self._multiply(part, heads, order, sizes[:stop], width)
            for part, (_, stop, width) in zip(parts, buckets, strict=True)
        ]
        return torch.cat(products).index_select(0, order.argsort())

    def _multiply(
        self, contexts: Tensor, heads: Tensor, order: Tensor, sizes: Tensor, width: int
    ) -> Tensor:
        """Applies matrices to the last of the groups, filled up to a common size.

        Args:
            contexts: shape: (G, D, D).
            heads: shape: (B, D).
            order: Queries by group, shape: (B,), dtype: long.
            sizes: Sizes of these G groups and of all before them, dtype: long.
            width: At least the largest of the G sizes.

        Returns:
            The groups' queries in their order, shape: (sum of the G sizes, D).
        """
        firsts = (sizes.cumsum(0) - sizes)[-len(contexts) :]
        column = torch.arange(width, device=heads.device)
        is_query = column < sizes[-len(contexts) :].unsqueeze(1)
        position = (firsts.unsqueeze(1) + column).clamp_max(len(order) - 1)
        rows = heads.index_select(0, order[position].flatten())
        products = torch.bmm(rows.view(-1, width, self.dim), contexts)
        return products.flatten(end_dim=1).index_select(0, is_query.flatten().nonzero().flatten())

    def moduli(self, factors: Tensor) -> Tensor:
        """Returns absolute values, shape: (N, D) -> (N, D)."""
        return factors.abs()


def _buckets(sizes: Tensor) -> list[tuple[int, int, int]]:
    """Cuts ascending group sizes where they pass a power of two.

    A batched product for each bucket takes the place of a small product for each group, and less
    than half of its rows are filling.

    Args:
        sizes: shape: (G,), dtype: long.

    Returns:
        First group, last group + 1, and their common width.
    """
    widths = [1 << (size - 1).bit_length() for size in sizes.tolist()]
    starts = [i for i, width in enumerate(widths) if i == 0 or width != widths[i - 1]]
    return [
        (start, stop, widths[start])
        for start, stop in zip(starts, [*starts[1:], len(widths)], strict=True)
    ]
