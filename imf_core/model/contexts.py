"""Contextual relational model (paper section 3.4): the relation transforms the head embedding.

Both forms turn (head embedding, relation) into a context vector. Its dot product with an entity
embedding is the logit of that entity as the tail: `z(h, r, t) = (e_h C(r)) . e_t`.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from imf_core.device import to_device
from imf_core.model.group_products import multiply_groups


class Context(Protocol):
    """Interface of a context form."""

    def __call__(self, heads: Tensor, relation_table: Tensor, relations: Tensor) -> Tensor:
        """Transforms head embeddings by relations.

        Args:
            heads: shape: (B, D).
            relation_table: shape: (2R, D_r).
            relations: Always on the CPU, since the number of queries per relation must be known
                before the computation, shape: (B,), dtype: long.

        Returns:
            shape: (B, D).
        """
        ...

    def moduli(self, factors: Tensor) -> Tensor:
        """Returns the magnitudes the N3 penalty cubes, shape: (N, D) -> (N, D or D / 2)."""
        ...


class BlockDiagonalContext(nn.Module):
    """`C(r)` of 2 x 2 rotation-scalings, D_r = D; the score is that of ComplEx.

    Our choice, a cheap special case of the dense form: D parameters per relation in place of a
    shared D_r x D x D core (Trouillon et al., ICML 2016, arXiv 1606.06357).
    """

    def forward(self, heads: Tensor, relation_table: Tensor, relations: Tensor) -> Tensor:
        """Multiplies complex numbers coordinate by coordinate; see `Context`."""
        real, imaginary = heads.chunk(2, dim=1)
        contexts = relation_table.index_select(0, to_device(relations, heads.device))
        context_real, context_imaginary = contexts.chunk(2, dim=1)
        return torch.cat(
            [
                real * context_real - imaginary * context_imaginary,
                real * context_imaginary + imaginary * context_real,
            ],
            dim=1,
        )

    def pair(self, heads: Tensor, tails: Tensor) -> Tensor:
        """Returns vectors `pair` such that `r . pair` is the score `(e_h C(r)) . e_t`.

        Args:
            heads: shape: (P, D).
            tails: shape: (P, D).

        Returns:
            shape: (P, D).
        """
        real, imaginary = heads.chunk(2, dim=1)
        tail_real, tail_imaginary = tails.chunk(2, dim=1)
        return torch.cat(
            [
                real * tail_real + imaginary * tail_imaginary,
                real * tail_imaginary - imaginary * tail_real,
            ],
            dim=1,
        )

    def moduli(self, factors: Tensor) -> Tensor:
        """Returns the complex moduli, shape: (N, D) -> (N, D / 2)."""
        real, imaginary = factors.chunk(2, dim=1)
        # The small constant keeps the gradient of the root finite at zero.
        return (real.square() + imaginary.square() + 1e-12).sqrt()


class DenseContext(nn.Module):
    """`C(r) = core x_1 r`, a full D x D matrix per relation, as in TuckER and the released code.

    Queries are grouped by relation, so memory holds one matrix per distinct relation of the batch,
    not one per query. Groups of similar size are multiplied together.

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
        """Multiplies each group of queries by the matrix of its relation; see `Context`."""
        distinct, group, sizes = relations.unique(return_inverse=True, return_counts=True)
        sizes, by_size = sizes.sort(stable=True)
        order = by_size.argsort()[group].argsort(stable=True)
        vectors = relation_table.index_select(0, to_device(distinct[by_size], heads.device))
        contexts = (vectors @ self.core).view(-1, self.dim, self.dim)
        # Under autocast, products have another dtype than the heads.
        sorted_heads = heads.index_select(0, to_device(order, heads.device)).to(contexts.dtype)
        products = multiply_groups(sorted_heads, contexts, sizes)
        return products.index_select(0, to_device(order.argsort(), heads.device))

    def moduli(self, factors: Tensor) -> Tensor:
        """Returns absolute values, shape: (N, D) -> (N, D)."""
        return factors.abs()
