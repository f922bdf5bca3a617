"""Fast forms of simple operations: dropout on a CPU, products of groups of rows by matrices."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imf_core.base.device import to_device

LEVELS = 1 << 16
"""Probabilities have 16 bits, so four elements share one 64-bit draw."""


class Dropout(nn.Module):
    """Sets elements to zero with probability p and scales the others by 1 / (1 - p).

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
