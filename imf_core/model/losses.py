"""Training losses over grouped queries, with no dense target and one buffer of scores.

A row is a (head, relation) query; its answers (positives) come as CSR: `offsets` (B + 1,) into
`columns` (P,), the positions of the answers among the C candidates. Each loss builds the gradient
of its logits in place of the logits themselves, chunk of rows by chunk of rows, so that memory is
bounded by `MAX_CHUNK_ELEMENTS` and never by B x C x heads.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_CHUNK_ELEMENTS = 1 << 25
"""Largest number of logits held at once: 128 MiB in float32."""

Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(logits (b, C), rows (p,), columns (p,)) -> loss sum; turns the logits into their gradient."""


def grouped_cross_entropy(
    queries: Tensor, candidates: Tensor, offsets: Tensor, columns: Tensor, dtype: torch.dtype
) -> Tensor:
    """Softmax cross entropy of every positive against all candidates (KvsAll).

    Args:
        queries: Context vectors, shape: (B, D).
        candidates: Entity embeddings, shape: (C, D).
        offsets: CSR offsets of the rows' positives, shape: (B + 1,), dtype: long.
        columns: Candidate position of each positive, shape: (P,), dtype: long.
        dtype: What the matrix products are computed in; sums are float32, or float64 if given so.

    Returns:
        Mean over the P positives, a scalar.
    """

    def kernel(logits: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        normalizer = logits.logsumexp(dim=1)
        loss = (normalizer[rows] - logits[rows, columns]).sum()
        counts = torch.bincount(rows, minlength=len(logits))
        logits.sub_(normalizer.unsqueeze(1)).exp_().mul_(counts.unsqueeze(1))
        logits[rows, columns] -= 1.0  # a row's positives are distinct
        return loss

    total: Tensor = _Grouped.apply(  # type: ignore[no-untyped-call]
        queries, candidates, offsets, columns, dtype, kernel
    )
    return total / len(columns)


def grouped_binary_cross_entropy(
    queries: Tensor,
    candidates: Tensor,
    offsets: Tensor,
    columns: Tensor,
    dtype: torch.dtype,
    label_smoothing: float,
) -> Tensor:
    """Binary cross entropy of every (query, candidate) pair, the paper's 1-N loss.

    Labels are smoothed as in the released code: `y <- (1 - label_smoothing) y + 1 / C` where
    `label_smoothing` > 0. Arguments as `grouped_cross_entropy`.

    Returns:
        Mean over the B queries of the sum over candidates, a scalar.
    """
    floor = 1.0 / len(candidates) if label_smoothing > 0 else 0.0

    def kernel(logits: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        positive = logits[rows, columns]
        loss = (
            F.softplus(logits).sum() - floor * logits.sum() - (1 - label_smoothing) * positive.sum()
        )
        logits.sigmoid_().sub_(floor)
        logits[rows, columns] -= 1 - label_smoothing
        return loss

    total: Tensor = _Grouped.apply(  # type: ignore[no-untyped-call]
        queries, candidates, offsets, columns, dtype, kernel
    )
    return total / len(queries)


class _Grouped(torch.autograd.Function):
    """Runs a kernel over chunks of rows and keeps only the gradients of the two inputs."""

    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        candidates: Tensor,
        offsets: Tensor,
        columns: Tensor,
        dtype: torch.dtype,
        kernel: Kernel,
    ) -> Tensor:
        left, right = queries.to(dtype), candidates.to(dtype)
        exact = torch.promote_types(queries.dtype, torch.float32)
        query_gradient = torch.empty_like(queries, dtype=exact)
        candidate_gradient = torch.zeros_like(candidates, dtype=exact)
        loss = queries.new_zeros((), dtype=exact)
        step = max(1, MAX_CHUNK_ELEMENTS // len(candidates))
        bounds = offsets.tolist() if step < len(queries) else [0, *([len(columns)] * len(queries))]
        for start in range(0, len(queries), step):
            stop = min(start + step, len(queries))
            first, last = bounds[start], bounds[stop]
            sizes = offsets[start + 1 : stop + 1] - offsets[start:stop]
            rows = torch.repeat_interleave(
                torch.arange(stop - start, device=queries.device), sizes, output_size=last - first
            )
            gradient = (left[start:stop] @ right.T).to(exact)
            loss += kernel(gradient, rows, columns[first:last])
            gradient = gradient.to(dtype)
            query_gradient[start:stop] = gradient @ right
            candidate_gradient += gradient.T @ left[start:stop]
        ctx.save_for_backward(query_gradient, candidate_gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query_gradient, candidate_gradient = ctx.saved_tensors
        return query_gradient * gradient, candidate_gradient * gradient, None, None, None, None


def info_nce(left: Tensor, right: Tensor, temperature: float) -> Tensor:
    """Symmetric InfoNCE between two views of the same N entities (arXiv 1807.03748).

    Our choice: the released contrastive loss does not parse and is never called. Negatives are
    the other entities of the batch in the other modality, similarity is the cosine.

    Args:
        left: One modality's vectors, shape: (N, D).
        right: The other modality's vectors of the same entities, shape: (N, D).
        temperature: Divides the cosine.

    Returns:
        Mean loss, a scalar; zero where fewer than two entities have both modalities.
    """
    if len(left) < 2:
        return left.new_zeros(())
    similarity = F.normalize(left, dim=1) @ F.normalize(right, dim=1).T / temperature
    target = torch.arange(len(left), device=left.device)
    return (F.cross_entropy(similarity, target) + F.cross_entropy(similarity.T, target)) / 2
