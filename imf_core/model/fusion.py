"""Multimodal fusion, stage one (paper section 3.3): low-rank bilinear pooling of modalities."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

MAX_CHUNK_ELEMENTS = 1 << 25
"""Largest size of one modality's factors held at once: 128 MiB in float32."""


class LowRankBilinearFusion(nn.Module):
    """Fuses embeddings of several modalities into one by a sum of rank-one products.

    `e_m = sum_{i=1..rank} prod_k (W_k^i e_k + b_k^i) / sqrt(rank)`, the product over the
    modalities that are present: a missing one is left out of it.

    Our choice: linear factors, and a start from which fusion can only learn. The terms are led by
    the modalities in turn: the leader's factor starts as the identity, those of the others start
    near the constant one. At first each term therefore passes its leader's embedding through, and
    training adds what the modalities say of one another. A term whose leader is missing is left
    out as a whole. (The released code takes ReLU, which leaves most of a threefold product at
    zero.)

    Args:
        input_dims: Size of each modality's embedding.
        dim: Size of the fused embedding.
        rank: Number of rank-one terms (`fusion.rank`).
        dropout: Applied to the inputs.
    """

    leaders: Tensor

    def __init__(self, input_dims: Sequence[int], dim: int, rank: int, dropout: float) -> None:
        super().__init__()
        self.rank = rank
        self.dim = dim
        self.dropout = nn.Dropout(dropout)
        self.projections = nn.ModuleList(nn.Linear(size, rank * dim) for size in input_dims)
        leaders = torch.arange(rank) % len(input_dims)
        self.register_buffer("leaders", leaders, persistent=False)
        for modality, projection in enumerate(self.projections):
            assert isinstance(projection, nn.Linear)
            self._initialize(projection, leaders == modality)

    def forward(self, embeddings: Sequence[Tensor], is_present: Sequence[Tensor]) -> Tensor:
        """Fuses N rows.

        Args:
            embeddings: One tensor per modality, shape: (N, input_dim).
            is_present: One mask per modality, shape: (N,), dtype: bool.

        Returns:
            Fused embeddings, zero where no leading modality is present, shape: (N, dim).
        """
        inputs = [*(self.dropout(each) for each in embeddings), *is_present]
        rows = max(1, MAX_CHUNK_ELEMENTS // (self.rank * self.dim))
        if len(inputs[0]) <= rows:
            return self._fuse(*inputs)
        # The factors of a chunk are made anew for its gradient, so that one chunk's are held.
        chunks = zip(*(each.split(rows) for each in inputs), strict=True)
        return torch.cat(
            [
                checkpoint(self._fuse, *chunk, use_reentrant=False, preserve_rng_state=False)
                for chunk in chunks
            ]
        )

    def project(self, embeddings: Sequence[Tensor]) -> list[Tensor]:
        """Returns the factors of each modality after dropout, shape: (N, rank, dim)."""
        return self._factors([self.dropout(embedding) for embedding in embeddings])

    def has_leader(self, is_present: Sequence[Tensor]) -> Tensor:
        """Says which terms count for which row, shape: (N,) bool each -> (N, rank)."""
        return torch.stack(tuple(is_present), dim=1)[:, self.leaders]

    @torch.no_grad()
    def _initialize(self, projection: nn.Linear, is_led: Tensor) -> None:
        """Starts the terms that a modality leads as the identity, the others as one."""
        size = projection.in_features
        weight = torch.randn(self.rank, self.dim, size) * (0.1 * size**-0.5)
        weight[is_led] += torch.eye(self.dim, size)
        projection.weight.copy_(weight.flatten(end_dim=1))
        projection.bias.copy_((~is_led).float().repeat_interleave(self.dim))

    def _fuse(self, *inputs: Tensor) -> Tensor:
        """Fuses K embeddings under K masks, shapes: (N, input_dim), (N,) -> (N, dim)."""
        embeddings, is_present = inputs[: len(inputs) // 2], inputs[len(inputs) // 2 :]
        product: Tensor | None = None
        for factor, present in zip(self._factors(embeddings), is_present, strict=True):
            masked = torch.where(present[:, None, None], factor, 1.0)
            product = masked if product is None else product * masked
        assert product is not None
        terms = product * self.has_leader(is_present).unsqueeze(2)
        return terms.sum(dim=1) / math.sqrt(self.rank)

    def _factors(self, embeddings: Sequence[Tensor]) -> list[Tensor]:
        """Returns the factors `W_k e_k + b_k` of each modality, shape: (N, rank, dim)."""
        return [
            projection(embedding).view(-1, self.rank, self.dim)
            for projection, embedding in zip(self.projections, embeddings, strict=True)
        ]
