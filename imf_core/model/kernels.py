"""Fast forms of simple operations; each docstring has the plain form, with which tests compare it.

Chunks of rows bound the memory; tiles of a chunk keep all operations on an element in a CPU's
cache. The losses are in `loss_kernels.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from imf_core.base.device import to_device

NO_ANSWER_LOGIT = -1e9
"""Logit of an impossible answer: finite, but its exponential is zero."""

MAX_CHUNK_ELEMENTS = 1 << 25
"""Largest number of logits or factors in memory at once: 128 MiB in float32."""

FACTOR_TILE_ELEMENTS = 1 << 16
"""Factors multiplied at once on a CPU, few enough to fit in its cache."""

LEVELS = 1 << 16
"""Probabilities have 16 bits, so four elements share one 64-bit draw."""


class Dropout(nn.Module):
    """Sets elements to zero with probability p and scales the others by 1 / (1 - p).

        return F.dropout(values, p, training)

    On a CPU, torch's own dropout spends most of its time on one draw per element. This one draws 64
    random bits for four elements from the same default generator. Other devices use torch's.

    Args:
        p: At least 0 and below 1.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, values: Tensor) -> Tensor:
        """Drops elements in training mode; returns `values` unchanged in evaluation mode."""
        if not self.training or self.p == 0.0:
            return values
        if values.device.type != "cpu":
            return F.dropout(values, self.p)
        return values * self._mask(values)

    def _mask(self, values: Tensor) -> Tensor:
        """Draws the factor of each element, of the shape and dtype of `values`."""
        num_dropped = min(round(self.p * LEVELS), LEVELS - 1)
        bits = torch.empty((values.numel() + 3) // 4, dtype=torch.int64)
        bits.random_(torch.iinfo(torch.int64).min, None)
        levels = bits.view(torch.int16)[: values.numel()].view(values.shape)
        mask = torch.empty_like(values, requires_grad=False)
        torch.ge(levels, num_dropped - LEVELS // 2, out=mask)
        return mask.mul_(LEVELS / (LEVELS - num_dropped))


def multiply_groups(rows: Tensor, matrices: Tensor, sizes: Tensor) -> Tensor:
    """Multiplies each group of rows by its matrix.

        groups = rows.split(sizes.tolist())
        return torch.cat([group @ matrix for group, matrix in zip(groups, matrices)])

    Args:
        rows: Group after group, shape: (B, D).
        matrices: shape: (G, D, D), of the same dtype.
        sizes: Rows of each group, ascending, shape: (G,), dtype: long, on the CPU.

    Returns:
        shape: (B, D).
    """
    products: Tensor = _GroupProducts.apply(rows, matrices, sizes)  # type: ignore[no-untyped-call]
    return products


class _GroupProducts(torch.autograd.Function):
    """Multiplies groups of similar size in one batched product."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, matrices: Tensor, sizes: Tensor) -> Tensor:
        """Multiplies rows (B, D), sorted by group, with matrices (G, D, D) -> (B, D)."""
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
    """Neighbouring groups of similar size, padded to the largest.

    Attributes:
        groups: Slice of the groups.
        width: Size of the largest group.
        rows: Slice of the rows of these groups.
        position: Place of each row among groups * width, shape: (rows,), on the CPU.
    """

    groups: slice
    width: int
    rows: slice
    position: Tensor

    def pad(self, rows: Tensor) -> Tensor:
        """Pads the bucket's rows with zeros, shape: (B, D) -> (groups, width, D)."""
        num_groups = self.groups.stop - self.groups.start
        if len(self.position) == num_groups * self.width:
            return rows[self.rows].view(num_groups, self.width, -1)
        padded = rows.new_zeros(num_groups * self.width, rows.shape[1])
        padded.index_copy_(0, to_device(self.position, rows.device), rows[self.rows])
        return padded.view(num_groups, self.width, -1)

    def unpad(self, padded: Tensor, result: Tensor) -> None:
        """Writes padded rows back to the bucket's rows of `result`, shape: (B, D)."""
        flat = padded.flatten(end_dim=1)
        position = to_device(self.position, result.device)
        torch.index_select(flat, 0, position, out=result[self.rows])


def _buckets(sizes: Tensor) -> list[_Bucket]:
    """Cuts ascending group sizes where they pass a power of two.

    One batched product per bucket replaces one small product per group; less than half of its rows
    are padding.

    Args:
        sizes: shape: (G,), dtype: long, on the CPU.
    """
    if not len(sizes):
        return []
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


def in_chunks(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], width: int
) -> Iterator[Tensor]:
    """Applies a function to N rows in chunks of at most `MAX_CHUNK_ELEMENTS`.

        yield function(*inputs)

    The backward pass computes a chunk again, so memory holds the intermediate values of one chunk.

    Args:
        function: Deterministic.
        inputs: Tensors of N rows each.
        width: Elements per row in the function.

    Yields:
        The result of each chunk.
    """
    size = max(1, MAX_CHUNK_ELEMENTS // width)
    if len(inputs[0]) <= size:
        yield function(*inputs)
        return
    for chunk in zip(*(each.split(size) for each in inputs), strict=True):
        yield checkpoint(function, *chunk, use_reentrant=False, preserve_rng_state=False)


def sum_of_products(present: Tensor, counts: Tensor, factors: Sequence[Tensor]) -> Tensor:
    """Multiplies the factors of the present modalities and sums over the terms.

        kept = [torch.where(here[:, None], each, 1.0) for here, each in zip(present.T > 0, factors)]
        terms = torch.stack(kept).prod(dim=0).view(*counts.shape, -1)
        return (terms * counts.unsqueeze(2)).sum(dim=1)

    Args:
        present: 1 or 0 for each modality, shape: (N, K), dtype: float32.
        counts: 1 or 0 for each of T terms, shape: (N, T), dtype: float32.
        factors: One tensor per modality, shape: (N, T * W).

    Returns:
        shape: (N, W).
    """
    masks = (present.to(factors[0].dtype), counts.to(factors[0].dtype))
    total: Tensor = _SumOfProducts.apply(*masks, *factors)  # type: ignore[no-untyped-call]
    return total


class _SumOfProducts(torch.autograd.Function):
    """Processes rows in tiles that fit in a CPU's cache; saves only its inputs for the gradient."""

    @staticmethod
    def forward(ctx: Any, present: Tensor, counts: Tensor, *factors: Tensor) -> Tensor:
        ctx.save_for_backward(present, counts, *factors)
        num_terms = counts.shape[1]
        sums = torch.empty_like(factors[0][:, : factors[0].shape[1] // num_terms])
        for rows in _factor_tiles(factors[0]):
            parts = _masked(present[rows], factors, rows)
            product = parts[0].mul(parts[1]) if len(parts) > 1 else parts[0].clone()
            for part in parts[2:]:
                product.mul_(part)
            terms = product.view(len(product), num_terms, -1)
            torch.sum(terms.mul_(counts[rows].unsqueeze(2)), dim=1, out=sums[rows])
        return sums

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        present, counts, *factors = ctx.saved_tensors
        gradients = [torch.empty_like(factor) for factor in factors]
        for rows in _factor_tiles(factors[0]):
            parts = _masked(present[rows], factors, rows)
            outer = (gradient[rows].unsqueeze(1) * counts[rows].unsqueeze(2)).flatten(1)
            for modality, result in enumerate(gradients):
                others = [part for other, part in enumerate(parts) if other != modality]
                product = torch.mul(outer, present[rows, modality].unsqueeze(1), out=result[rows])
                for part in others:
                    product.mul_(part)
        return None, None, *gradients


def _factor_tiles(factors: Tensor) -> list[slice]:
    """Cuts rows into tiles on a CPU; a GPU takes them all at once."""
    num_rows, width = factors.shape
    step = max(1, FACTOR_TILE_ELEMENTS // width) if factors.device.type == "cpu" else num_rows
    return [slice(start, start + step) for start in range(0, num_rows, max(1, step))]


def _masked(present: Tensor, factors: Sequence[Tensor], rows: slice) -> list[Tensor]:
    """Replaces the factors of missing modalities by one, shape: (n, T * W) each."""
    columns = present.unsqueeze(2).unbind(dim=1)
    return [
        (factor[rows] * column).add_(1.0 - column)
        for factor, column in zip(factors, columns, strict=True)
    ]
