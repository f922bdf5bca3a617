"""The losses of grouped queries, with no dense target and one buffer of scores.

A row is a (head, relation) query; its answers (positives) are positions among the C candidates.
Each loss overwrites logits with their gradient, one chunk of rows after the other, tile by tile, so
`MAX_CHUNK_ELEMENTS` bounds the memory, not B x C x channels. Each docstring has the plain form,
with which tests compare the loss.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from imf_core.model.kernels import MAX_CHUNK_ELEMENTS, NO_ANSWER_LOGIT

LOGIT_TILE_ELEMENTS = 1 << 18
"""Logits that a CPU turns into their gradient at once: 1 MiB in float32."""


@dataclass(frozen=True)
class Positives:
    """The answers of B rows.

    Attributes:
        offsets: CSR offsets of each row's answers, on the CPU, so sizes are known without waiting
            for a GPU, shape: (B + 1,), dtype: long.
        rows: Row of each answer, ascending, shape: (P,), dtype: long.
        columns: Position of each answer among the candidates, distinct within a row, shape: (P,),
            dtype: long.
        counts: Number of answers of each row, shape: (B,), dtype: float32.
        own_columns: Position of the query's own entity among the candidates, shape: (B,),
            dtype: long.
        own_can_answer: Whether that entity is a possible answer, shape: (B,), dtype: bool.
    """

    offsets: Tensor
    rows: Tensor
    columns: Tensor
    counts: Tensor
    own_columns: Tensor
    own_can_answer: Tensor


@dataclass(frozen=True)
class FixedScores:
    """Fixed scores `queries candidates^T`, added to the logits without a gradient.

    Attributes:
        queries: shape: (B, D').
        candidates: shape: (C, D').
    """

    queries: Tensor
    candidates: Tensor


@dataclass(frozen=True)
class _Tile:
    """Some rows of the logits and their answers; row numbers start at the tile's first row."""

    logits: Tensor
    rows: Tensor
    columns: Tensor
    counts: Tensor
    own_columns: Tensor
    own_can_answer: Tensor


_Kernel = Callable[[_Tile], Tensor]
"""Returns a tile's loss, a scalar, and turns its logits into their gradient."""


def grouped_cross_entropy(
    queries: Tensor,
    candidates: Tensor,
    positives: Positives,
    dtype: torch.dtype,
    given: FixedScores | None = None,
) -> Tensor:
    """Returns the softmax cross entropy of every positive against all candidates (KvsAll).

    The softmax leaves out the query's own entity where it is not a possible answer.

        z = (queries @ candidates.T).masked_fill(is_impossible_own, -torch.inf)
        return -z.log_softmax(dim=1)[positives.rows, positives.columns].sum()

    Args:
        queries: Context vectors, shape: (B, D).
        candidates: Entity embeddings, shape: (C, D).
        positives: Answers of the B rows.
        dtype: Dtype of the matrix products; sums are float32, or float64 for float64 inputs.
        given: Fixed scores added to the logits.

    Returns:
        Sum over the P positives, a scalar.
    """
    total: Tensor = _Grouped.apply(  # type: ignore[no-untyped-call]
        queries, candidates, positives, dtype, _softmax_kernel, given
    )
    return total


def grouped_binary_cross_entropy(
    queries: Tensor,
    candidates: Tensor,
    positives: Positives,
    dtype: torch.dtype,
    label_smoothing: float,
    given: FixedScores | None = None,
) -> Tensor:
    """Returns the binary cross entropy of every (query, candidate) pair, the paper's 1-N loss.

    Labels are smoothed as in the released code: `y <- (1 - label_smoothing) y + 1 / C` where
    `label_smoothing` > 0. Arguments as in `grouped_cross_entropy`.

        z = queries @ candidates.T
        labels = 1 at each pair of a query and its answer, else 0, smoothed
        return F.binary_cross_entropy_with_logits(z, labels, reduction="sum")

    Returns:
        Sum over all pairs, a scalar.
    """
    floor = 1.0 / len(candidates) if label_smoothing > 0 else 0.0
    kernel = partial(_sigmoid_kernel, floor=floor, label_smoothing=label_smoothing)
    total: Tensor = _Grouped.apply(  # type: ignore[no-untyped-call]
        queries, candidates, positives, dtype, kernel, given
    )
    return total


def _softmax_kernel(tile: _Tile) -> Tensor:
    _leave_out_own(tile)
    positive = tile.logits[tile.rows, tile.columns].sum()
    counts = tile.counts.unsqueeze(1)
    top = tile.logits.amax(dim=1, keepdim=True)
    mass = tile.logits.sub_(top).exp_().sum(dim=1, keepdim=True)
    loss = ((mass.log() + top) * counts).sum() - positive
    tile.logits.mul_(counts / mass)
    tile.logits[tile.rows, tile.columns] -= 1.0
    return loss


def _leave_out_own(tile: _Tile) -> None:
    """Masks the query's own entity where it cannot answer, without waiting for a GPU."""
    own = tile.own_columns.unsqueeze(1)
    can_answer = tile.own_can_answer.unsqueeze(1)
    kept = torch.where(can_answer, tile.logits.gather(1, own), NO_ANSWER_LOGIT)
    tile.logits.scatter_(1, own, kept)


def _sigmoid_kernel(tile: _Tile, floor: float, label_smoothing: float) -> Tensor:
    positive = tile.logits[tile.rows, tile.columns].sum()
    loss = F.softplus(tile.logits).sum() - (1 - label_smoothing) * positive
    if floor:
        loss -= floor * tile.logits.sum()
    tile.logits.sigmoid_()
    if floor:
        tile.logits.sub_(floor)
    tile.logits[tile.rows, tile.columns] -= 1 - label_smoothing
    return loss


class _Grouped(torch.autograd.Function):
    """Runs a kernel over all logits and saves only the gradients of the two inputs."""

    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        candidates: Tensor,
        positives: Positives,
        dtype: torch.dtype,
        kernel: _Kernel,
        given: FixedScores | None,
    ) -> Tensor:
        left, right = queries.to(dtype), candidates.to(dtype)
        exact = torch.promote_types(queries.dtype, torch.float32)
        query_gradient = torch.empty_like(queries, dtype=exact)
        candidate_gradient = torch.zeros_like(candidates, dtype=exact)
        loss = queries.new_zeros((), dtype=exact)
        offsets = positives.offsets.tolist()
        for chunk in _split(0, len(queries), max(1, MAX_CHUNK_ELEMENTS // len(candidates))):
            logits = (left[chunk] @ right.T).to(exact)
            if given is not None:
                logits += given.queries[chunk].to(dtype) @ given.candidates.to(dtype).T
            for rows in _split(chunk.start, chunk.stop, _tile_rows(logits)):
                answers = slice(offsets[rows.start], offsets[rows.stop])
                loss += kernel(
                    _Tile(
                        logits[rows.start - chunk.start : rows.stop - chunk.start],
                        positives.rows[answers] - rows.start,
                        positives.columns[answers],
                        positives.counts[rows],
                        positives.own_columns[rows],
                        positives.own_can_answer[rows],
                    )
                )
            gradient = logits.to(dtype)
            query_gradient[chunk] = gradient @ right
            candidate_gradient += gradient.T @ left[chunk]
        ctx.save_for_backward(query_gradient, candidate_gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query_gradient, candidate_gradient = ctx.saved_tensors
        gradients = query_gradient * gradient, candidate_gradient * gradient
        return *gradients, None, None, None, None


def _tile_rows(logits: Tensor) -> int:
    """Returns the rows per tile; a GPU takes all at once."""
    if logits.device.type != "cpu":
        return len(logits)
    return max(1, LOGIT_TILE_ELEMENTS // logits.shape[1])


def _split(start: int, stop: int, size: int) -> Iterator[slice]:
    """Cuts a range into slices of at most `size`."""
    for first in range(start, stop, size):
        yield slice(first, min(first + size, stop))
