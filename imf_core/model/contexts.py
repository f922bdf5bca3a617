"""Contextual relational model (paper section 3.4): the relation transforms the head embedding.

Both forms turn (head embedding, relation) into a context vector whose dot product with an entity
embedding is the logit of that entity as the tail: `z(h, r, t) = (e_h C(r)) . e_t`.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from imf_core.device import send


class Context(Protocol):
    """What a scorer asks of a context form."""

    def __call__(self, heads: Tensor, relation_table: Tensor, relations: Tensor) -> Tensor:
        """Transforms heads under relations.

        Args:
            heads: shape: (B, D).
            relation_table: shape: (2R, D_r).
            relations: On the CPU, whatever the device of the others: how many queries share a
                relation must be known before anything is computed. shape: (B,), dtype: long.

        Returns:
            shape: (B, D).
        """
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
        contexts = relation_table.index_select(0, send(relations, heads.device))
        context_real, context_imaginary = contexts.chunk(2, dim=1)
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
        order = by_size.argsort()[group].argsort(stable=True)
        vectors = relation_table.index_select(0, send(distinct[by_size], heads.device))
        contexts = (vectors @ self.core).view(-1, self.dim, self.dim)
        # Autocast makes products of another dtype than the heads have.
        sorted_heads = heads.index_select(0, send(order, heads.device)).to(contexts.dtype)
        products: Tensor = _GroupProducts.apply(sorted_heads, contexts, sizes)  # type: ignore[no-untyped-call]
        return products.index_select(0, send(order.argsort(), heads.device))

    def moduli(self, factors: Tensor) -> Tensor:
        """Returns absolute values, shape: (N, D) -> (N, D)."""
        return factors.abs()


class _GroupProducts(torch.autograd.Function):
    """Multiplies each group of rows by its own matrix, groups of about one size at once."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, matrices: Tensor, sizes: Tensor) -> Tensor:
        """Multiplies; rows (B, D) by group, matrices (G, D, D), sizes (G,) ascending -> (B, D)."""
        ctx.save_for_backward(rows, matrices)
        ctx.buckets = _buckets(sizes)
        products = torch.empty_like(rows)
        for bucket in ctx.buckets:
            padded = torch.bmm(bucket.pad(rows), matrices[bucket.groups])
            bucket.unpad(padded, products)
        return products

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, matrices = ctx.saved_tensors
        row_gradient, matrix_gradient = torch.empty_like(rows), torch.empty_like(matrices)
        for bucket in ctx.buckets:
            padded = bucket.pad(gradient)
            products = torch.bmm(padded, matrices[bucket.groups].transpose(1, 2))
            bucket.unpad(products, row_gradient)
            left = bucket.pad(rows).transpose(1, 2)
            torch.bmm(left, padded, out=matrix_gradient[bucket.groups])
        return row_gradient, matrix_gradient, None


@dataclass(frozen=True)
class _Bucket:
    """Neighbouring groups of about one size, filled up to a common one.

    Attributes:
        groups: Which groups.
        width: Size of the largest.
        rows: All rows of these groups.
        position: Where each of those rows lies among groups * width, shape: (rows,), on the CPU.
    """

    groups: slice
    width: int
    rows: slice
    position: Tensor

    def pad(self, rows: Tensor) -> Tensor:
        """Lays the bucket's rows out, shape: (B, D) -> (groups, width, D), zeros between."""
        num_groups = self.groups.stop - self.groups.start
        if len(self.position) == num_groups * self.width:
            return rows[self.rows].view(num_groups, self.width, -1)
        padded = rows.new_zeros(num_groups * self.width, rows.shape[1])
        padded.index_copy_(0, send(self.position, rows.device), rows[self.rows])
        return padded.view(num_groups, self.width, -1)

    def unpad(self, padded: Tensor, result: Tensor) -> None:
        """Puts what `pad` has laid out back into the bucket's rows of `result`, shape: (B, D)."""
        flat = padded.flatten(end_dim=1)
        position = send(self.position, result.device)
        torch.index_select(flat, 0, position, out=result[self.rows])


def _buckets(sizes: Tensor) -> list[_Bucket]:
    """Cuts ascending group sizes where they pass a power of two.

    A batched product for each bucket takes the place of a small product for each group, and less
    than half of its rows are filling.

    Args:
        sizes: shape: (G,), dtype: long, on the CPU.
    """
    stops = sizes.cumsum(0)
    widths = [1 << (size - 1).bit_length() for size in sizes.tolist()]
    starts = [i for i, width in enumerate(widths) if i == 0 or width != widths[i - 1]]
    buckets = []
    for start, stop in zip(starts, [*starts[1:], len(widths)], strict=True):
        some, width = sizes[start:stop], int(sizes[stop - 1])
        first = int(stops[start] - sizes[start])
        group = torch.repeat_interleave(torch.arange(stop - start), some)
        within = torch.arange(len(group)) - (stops[start:stop] - some - first)[group]
        rows = slice(first, first + len(group))
        buckets.append(_Bucket(slice(start, stop), width, rows, group * width + within))
    return buckets
