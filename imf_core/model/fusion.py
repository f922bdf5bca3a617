"""Multimodal fusion, stage one (paper section 3.3): low-rank bilinear pooling of modalities."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

MAX_CHUNK_ELEMENTS = 1 << 25
"""Largest number of factors held at once: 128 MiB in float32, of which a few copies live."""


class LowRankBilinearFusion(nn.Module):
    """Fuses embeddings of several modalities into one: a linear part and what they say together.

        e_m = sum_k e_k W_k / sqrt(K) + sum_{i=1..rank} (prod_k f_k^i - 1) / sqrt(rank) U
        f_k^i = 1 + e_k V_k M_k^i

    over the K modalities. `V_k` and `U` lead into and out of a core of few dimensions in which
    modalities meet: the Tucker form with a core of low rank (MUTAN, Ben-younes et al., ICCV 2017,
    arXiv 1705.06676), so that a higher rank costs little. A missing modality counts as `e_k = 0`:
    it has no part in the sum, and the factor one in the product.

    Our choice: linear factors around one, and the linear part. That starts near the identity and
    `U` near zero, so that fusion starts as the sum of what is present, over sqrt(K), and can only
    learn. (The released code takes ReLU, which leaves most of a threefold product at zero.)

    Args:
        num_modalities: K.
        dim: D, size of every modality's embedding and of the fused one.
        rank: Number of rank-one terms (`fusion.rank`).
        core_dim: Size of the core (`fusion.core_dim`).
        dropout: Applied to the inputs.
    """

    def __init__(
        self, num_modalities: int, dim: int, rank: int, core_dim: int, dropout: float
    ) -> None:
        super().__init__()
        self.rank = rank
        self.core_dim = core_dim
        self.dropout = nn.Dropout(dropout)
        noise = torch.randn(num_modalities, dim, dim) * (0.1 * dim**-0.5)
        self.linear = nn.Parameter(torch.eye(dim) + noise)  # W
        self.into_core = nn.Parameter(_orthogonal(num_modalities, dim, core_dim))  # V
        factors = torch.randn(num_modalities, core_dim, rank * core_dim)
        self.factors = nn.Parameter(factors * (0.3 * core_dim**-0.5))  # M
        self.out_of_core = nn.Parameter(torch.randn(core_dim, dim) * (1e-2 * core_dim**-0.5))  # U

    def forward(self, embeddings: Sequence[Tensor], is_present: Sequence[Tensor]) -> Tensor:
        """Fuses N rows.

        Args:
            embeddings: One tensor per modality, shape: (N, D).
            is_present: One mask per modality, shape: (N,), dtype: bool.

        Returns:
            Fused embeddings, zero where no modality is present, shape: (N, D).
        """
        mask = torch.stack(tuple(is_present)).unsqueeze(2)
        present = self.dropout(torch.where(mask, torch.stack(tuple(embeddings)), 0.0))
        linear = torch.bmm(present, self.linear).sum(dim=0) / math.sqrt(len(present))
        interaction = self._interact_in_chunks(torch.bmm(present, self.into_core))
        fused: Tensor = linear + interaction @ self.out_of_core
        return fused

    def project_to_core(self, embeddings: Sequence[Tensor]) -> Tensor:
        """Leads all modalities into the core, shape: (N, D) each -> (K, N, core_dim)."""
        return torch.bmm(self.dropout(torch.stack(tuple(embeddings))), self.into_core)

    def _interact_in_chunks(self, cores: Tensor) -> Tensor:
        """Interacts; where memory asks for chunks, they are made anew for the gradient."""
        rows = max(1, MAX_CHUNK_ELEMENTS // (len(cores) * self.rank * self.core_dim))
        if cores.shape[1] <= rows:
            return self._interact(cores)
        chunks = [
            checkpoint(self._interact, chunk, use_reentrant=False, preserve_rng_state=False)
            for chunk in cores.split(rows, dim=1)
        ]
        return torch.cat(chunks)

    def _interact(self, cores: Tensor) -> Tensor:
        """Sums the products less one, shape: (K, N, core_dim) -> (N, core_dim)."""
        # (1 + a)(1 + b) - 1 = a + b + ab: near one, half precision would round a and b away.
        terms, *others = torch.bmm(cores, self.factors)
        for other in others:
            terms = terms + other + terms * other
        pooled: Tensor = terms.view(-1, self.rank, self.core_dim).sum(dim=1)
        return pooled / math.sqrt(self.rank)


def _orthogonal(num_modalities: int, dim: int, core_dim: int) -> Tensor:
    """Makes a random projection per modality, shape: (K, dim, core_dim)."""
    return torch.stack(
        [nn.init.orthogonal_(torch.empty(dim, core_dim)) for _ in range(num_modalities)]
    )
