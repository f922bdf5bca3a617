"""Multimodal fusion, stage one (paper section 3.3): low-rank bilinear pooling of modalities."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class LowRankBilinearFusion(nn.Module):
    """Fuses embeddings of several modalities into one by a sum of rank-one products.

    `e_m = sum_{i=1..rank} prod_k (W_k^i e_k + b_k^i) / sqrt(rank)`, the product over the
    modalities that are present: a missing one is left out of it.

    Our choice: linear factors with biases that start at one, so that the product holds the terms
    of every lower order too and each modality can speak alone. (The released code takes ReLU,
    which leaves most of a threefold product at zero.)

    Args:
        input_dims: Size of each modality's embedding.
        dim: Size of the fused embedding.
        rank: Number of rank-one terms (`fusion.rank`).
        dropout: Applied to the inputs.
    """

    def __init__(self, input_dims: Sequence[int], dim: int, rank: int, dropout: float) -> None:
        super().__init__()
        self.rank = rank
        self.dim = dim
        self.dropout = nn.Dropout(dropout)
        self.projections = nn.ModuleList(nn.Linear(size, rank * dim) for size in input_dims)
        for projection in self.projections:
            assert isinstance(projection, nn.Linear)
            nn.init.normal_(projection.bias, mean=1.0, std=0.5)

    def forward(self, embeddings: Sequence[Tensor], is_present: Sequence[Tensor]) -> Tensor:
        """Fuses N rows.

        Args:
            embeddings: One tensor per modality, shape: (N, input_dim).
            is_present: One mask per modality, shape: (N,), dtype: bool.

        Returns:
            Fused embeddings, zero where no modality is present, shape: (N, dim).
        """
        product: Tensor | None = None
        for factor, present in zip(self.project(embeddings), is_present, strict=True):
            masked = torch.where(present[:, None, None], factor, 1.0)
            product = masked if product is None else product * masked
        assert product is not None
        has_any = torch.stack(tuple(is_present)).any(dim=0)
        scale: float = self.rank**-0.5
        return product.sum(dim=1) * scale * has_any.unsqueeze(1)

    def project(self, embeddings: Sequence[Tensor]) -> list[Tensor]:
        """Returns the factors `W_k e_k + b_k` of each modality, shape: (N, rank, dim)."""
        return [
            projection(self.dropout(embedding)).view(-1, self.rank, self.dim)
            for projection, embedding in zip(self.projections, embeddings, strict=True)
        ]
