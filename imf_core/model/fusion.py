"""Fusion of the modalities' embeddings (paper section 3.3): low-rank bilinear pooling.

`LowRankBilinearFusion`, the full form, multiplies factors of full size, as in the paper.
`NarrowFusion` passes one modality through and modulates it by products of a few numbers, in a
fraction of the time.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imf_core.base.config import FusionParams
from imf_core.model.encoders import StructuralEncoder
from imf_core.model.kernels import Dropout, in_chunks, sum_of_products

NARROW_DIM = 16
"""Size of the narrow terms: all terms of the narrow form, and those of the full form beyond one per
modality."""


class LowRankBilinearFusion(nn.Module):
    """Fuses embeddings of several modalities into one by a sum of products.

    `e_m = sum_{i=1..rank} lift_i prod_k (W_k^i e_k + b_k^i) / sqrt(n_i)`, the product over the
    modalities that are present. `n_i` is the number of terms of the same kind as term i, full-size
    or narrow.

    Our choice: linear factors, initialised to pass embeddings through. Each modality leads one term
    of full size: its own factor starts as the identity (cropped where sizes differ), the others
    near the constant one. A term is left out where its leader is missing. (The released code takes
    ReLU, which leaves most of a threefold product at zero.)

    The terms beyond one per modality are the core of a Tucker decomposition, as in MUTAN
    (Ben-Younes et al., ICCV 2017, arXiv 1705.06676): they reduce every modality to
    `NARROW_DIM` numbers, multiply those, and lift the sum to full size. They start without effect.
    A rank of 64 costs about as much as four terms of full size.

    Args:
        input_dims: Size of each modality's embedding.
        dim: Size of the fused embedding.
        rank: Number of terms (`fusion.rank`).
        dropout: Applied to the inputs.
    """

    def __init__(self, input_dims: Sequence[int], dim: int, rank: int, dropout: float) -> None:
        super().__init__()
        self.dim = dim
        self.num_led = min(rank, len(input_dims))
        self.num_narrow = rank - self.num_led
        self.dropout = Dropout(dropout)
        projections = [nn.Linear(size, self.num_led * dim) for size in input_dims]
        for modality, projection in enumerate(projections):
            self._start_led_terms(projection, modality)
        self.projections = nn.ModuleList(projections)
        if self.num_narrow:
            self.reductions = nn.ModuleList(
                nn.Linear(size, NARROW_DIM, bias=False) for size in input_dims
            )
            self.cores = _make_cores(len(input_dims), self.num_narrow)
            self.lift = nn.Linear(NARROW_DIM, dim, bias=False)
            nn.init.zeros_(self.lift.weight)

    def forward(self, embeddings: Sequence[Tensor], is_present: Sequence[Tensor]) -> Tensor:
        """Fuses N rows.

        Args:
            embeddings: One tensor per modality, shape: (N, input_dim).
            is_present: One mask per modality, shape: (N,), dtype: bool.

        Returns:
            Fused embeddings, zero for rows without a leading modality, shape: (N, dim).
        """
        inputs = [*(self.dropout(each) for each in embeddings), *is_present]
        return torch.cat(list(in_chunks(self._fuse, inputs, self._num_factors())))

    def project(self, embeddings: Sequence[Tensor]) -> list[Tensor]:
        """Returns the factors of each modality after dropout, shape: (N, F)."""
        inputs = [self.dropout(embedding) for embedding in embeddings]
        factors = self._led_factors(inputs)
        if not self.num_narrow:
            return factors
        narrow = self._narrow_factors(inputs)
        return [torch.cat(both, dim=1) for both in zip(factors, narrow, strict=True)]

    def has_leader(self, is_present: Sequence[Tensor]) -> Tensor:
        """Returns which rows have a leading modality, shape: (N,) bool each -> (N,)."""
        return torch.stack(tuple(is_present[: self.num_led])).any(dim=0)

    @torch.no_grad()
    def _start_led_terms(self, projection: nn.Linear, modality: int) -> None:
        """Initialises the term that a modality leads as the identity, the others as one."""
        size = projection.in_features
        weight = torch.randn(self.num_led, self.dim, size) * (0.1 * size**-0.5)
        is_led = torch.arange(self.num_led) == modality
        weight[is_led] += _keep_coordinates(self.dim, size)
        projection.weight.copy_(weight.flatten(end_dim=1))
        projection.bias.copy_((~is_led).float().repeat_interleave(self.dim))

    def _num_factors(self) -> int:
        """Returns the number of factors per row and modality."""
        return self.num_led * self.dim + self.num_narrow * NARROW_DIM

    def _fuse(self, *inputs: Tensor) -> Tensor:
        """Fuses K embeddings under K masks, shapes: (N, input_dim), (N,) -> (N, dim)."""
        embeddings, is_present = inputs[: len(inputs) // 2], inputs[len(inputs) // 2 :]
        present = torch.stack(is_present, dim=1).float()  # (N, K)
        is_led = present[:, : self.num_led]
        fused = sum_of_products(present, is_led, self._led_factors(embeddings))
        fused = fused / math.sqrt(self.num_led)
        if not self.num_narrow:
            return fused
        counts = is_led.amax(dim=1, keepdim=True).expand(-1, self.num_narrow)
        narrow = sum_of_products(present, counts, self._narrow_factors(embeddings))
        lifted: Tensor = self.lift(narrow / math.sqrt(self.num_narrow))
        return fused + lifted

    def _led_factors(self, embeddings: Sequence[Tensor]) -> list[Tensor]:
        """Returns each modality's factors in the terms of full size, shape: (N, num_led * dim)."""
        pairs = zip(self.projections, embeddings, strict=True)
        return [projection(embedding) for projection, embedding in pairs]

    def _narrow_factors(self, embeddings: Sequence[Tensor]) -> list[Tensor]:
        """Returns each modality's factors in the others, shape: (N, num_narrow * NARROW_DIM)."""
        parts = zip(self.reductions, self.cores, embeddings, strict=True)
        return [core(reduction(embedding)) for reduction, core, embedding in parts]


class NarrowFusion(nn.Module):
    """Fuses embeddings by letting products of a few numbers modulate one of them.

    `e_m = e_l * (1 + scale) + shift`, `(scale, shift) = lift mean_{i=1..rank} prod_k (W_k^i P_k e_k
    + b_k^i)`: `e_l` is the embedding of the leader, the first modality that is present; `P_k`
    reduces every modality to `NARROW_DIM` numbers; the product is over the modalities that are
    present. Scaling and shifting a vector by functions of another input is FiLM (Perez et al., AAAI
    2018, arXiv 1709.07871).

    Our choice: the full form spends most of its time on factors of full size. Here no layer maps
    full size to full size. The lift starts near zero, so fusion starts at the leader's embedding.

    Args:
        input_dims: Size of each modality's embedding; the first present one leads.
        dim: Size of the fused embedding. A larger leader is cut to the first coordinates of each
            half, a smaller one padded with zeros.
        rank: Number of terms (`fusion.rank`).
        dropout: Applied to the reduced modalities.
    """

    def __init__(self, input_dims: Sequence[int], dim: int, rank: int, dropout: float) -> None:
        super().__init__()
        self.dim = dim
        self.rank = rank
        self.dropout = Dropout(dropout)
        self.reductions = nn.ModuleList(
            nn.Linear(size, NARROW_DIM, bias=False) for size in input_dims
        )
        self.cores = _make_cores(len(input_dims), rank)
        self.lift = nn.Linear(NARROW_DIM, 2 * dim, bias=False)
        nn.init.normal_(self.lift.weight, std=1e-2 * NARROW_DIM**-0.5)

    def forward(self, embeddings: Sequence[Tensor], is_present: Sequence[Tensor]) -> Tensor:
        """Fuses N rows.

        Args:
            embeddings: One tensor per modality, shape: (N, input_dim).
            is_present: One mask per modality, shape: (N,), dtype: bool.

        Returns:
            Fused embeddings, zero for rows without any modality, shape: (N, dim).
        """
        inputs = [*self.project(embeddings), *is_present]
        lifted = torch.cat(list(in_chunks(self._modulate, inputs, self.rank * NARROW_DIM)))
        scale, shift = lifted.chunk(2, dim=1)
        return torch.addcmul(shift, self._lead(embeddings, is_present), 1.0 + scale)

    def project(self, embeddings: Sequence[Tensor]) -> list[Tensor]:
        """Returns the reduced embedding of each modality after dropout, shape: (N, F)."""
        pairs = zip(self.reductions, embeddings, strict=True)
        return [self.dropout(reduction(embedding)) for reduction, embedding in pairs]

    def has_leader(self, is_present: Sequence[Tensor]) -> Tensor:
        """Returns which rows have any modality, shape: (N,) bool each -> (N,)."""
        return torch.stack(tuple(is_present)).any(dim=0)

    def _lead(self, embeddings: Sequence[Tensor], is_present: Sequence[Tensor]) -> Tensor:
        """Returns the embedding of each row's leader, zero without one, shape: (N, dim)."""
        if is_present[0].device.type == "cpu" and bool(is_present[0].all()):
            return _fit(embeddings[0], self.dim)  # spares the copies below
        leader = embeddings[0].new_zeros(())
        for embedding, present in reversed(list(zip(embeddings, is_present, strict=True))):
            leader = torch.where(present.unsqueeze(1), _fit(embedding, self.dim), leader)
        return leader

    def _modulate(self, *inputs: Tensor) -> Tensor:
        """Lifts the products of K reduced modalities under K masks, shape: (N, 2 * dim)."""
        reduced, is_present = inputs[: len(inputs) // 2], inputs[len(inputs) // 2 :]
        present = torch.stack(is_present, dim=1).float()  # (N, K)
        counts = present.amax(dim=1, keepdim=True).expand(-1, self.rank)
        factors = [core(each) for core, each in zip(self.cores, reduced, strict=True)]
        lifted: Tensor = self.lift(sum_of_products(present, counts, factors) / self.rank)
        return lifted


class Fusion(nn.Module):
    """The fused channel's embeddings of entities and relations.

    Args:
        num_entities: E.
        dims: D of each modality, then of the fused channel.
        relation_dims: D_r in the same order.
        params: Section `fusion` of the parameters; `rank` is positive.
    """

    def __init__(
        self,
        num_entities: int,
        dims: Sequence[int],
        relation_dims: Sequence[int],
        params: FusionParams,
    ) -> None:
        super().__init__()
        form = LowRankBilinearFusion if params.form == "full" else NarrowFusion
        self.entities, self.relations = (
            form(inputs, dim, params.rank, params.dropout) for *inputs, dim in (dims, relation_dims)
        )
        self.residual = StructuralEncoder(num_entities, dims[-1]) if params.residual else None
        self.is_detached = params.detach

    def fuse_entities(
        self, embeddings: Sequence[Tensor], is_present: Sequence[Tensor], entity_ids: Tensor
    ) -> Tensor:
        """Fuses the modalities' embeddings of N entities.

        Args:
            embeddings: One tensor per modality, shape: (N, D).
            is_present: One mask per modality, shape: (N,), dtype: bool.
            entity_ids: The entities, shape: (N,), dtype: long.

        Returns:
            shape: (N, D).
        """
        fused: Tensor = self.entities(self._inputs(embeddings), is_present)
        return fused if self.residual is None else fused + self.residual(entity_ids)

    def fuse_relations(self, tables: Sequence[Tensor]) -> Tensor:
        """Fuses the modalities' relation tables, shape: (2R, D_r) each -> (2R, D_r)."""
        everywhere = torch.ones(len(tables[0]), dtype=torch.bool, device=tables[0].device)
        fused: Tensor = self.relations(self._inputs(tables), [everywhere] * len(tables))
        return fused

    def factors(self, embeddings: Sequence[Tensor]) -> list[Tensor]:
        """Returns each modality's factors in the fusion, shape: (N, D) -> (N, F)."""
        return self.entities.project(self._inputs(embeddings))

    def has_leader(self, is_present: Sequence[Tensor]) -> Tensor:
        """Returns which entities have a fused embedding, shape: (E,) bool each -> (E,)."""
        return self.entities.has_leader(is_present)

    def _inputs(self, vectors: Sequence[Tensor]) -> list[Tensor]:
        """Stops the fused channel's gradient if `fusion.detach` is set."""
        return [each.detach() if self.is_detached else each for each in vectors]


def _make_cores(num_modalities: int, num_terms: int) -> nn.ModuleList:
    """Makes one layer of narrow factors per modality; they start near the constant one."""
    cores = [nn.Linear(NARROW_DIM, num_terms * NARROW_DIM) for _ in range(num_modalities)]
    for core in cores:
        nn.init.ones_(core.bias)
    return nn.ModuleList(cores)


def _fit(embedding: Tensor, dim: int) -> Tensor:
    """Cuts or pads each half of a vector, (N, size) -> (N, dim); see `_keep_coordinates`."""
    size = embedding.shape[1]
    if size == dim:
        return embedding
    real, imaginary = embedding.split([size - size // 2, size // 2], dim=1)
    return torch.cat(
        [
            F.pad(part, (0, width - part.shape[1]))
            for part, width in ((real, dim - dim // 2), (imaginary, dim // 2))
        ],
        dim=1,
    )


def _keep_coordinates(dim: int, size: int) -> Tensor:
    """Returns the map to the first coordinates of each half of a vector, shape: (dim, size).

    Equal sizes give the identity. Others take the first coordinates of each half, since coordinates
    i and dim / 2 + i form a 2 x 2 block (`BlockDiagonalContext`).
    """
    weight = torch.zeros(dim, size)
    for row, column, kept in (
        (0, 0, min(dim - dim // 2, size - size // 2)),
        (dim - dim // 2, size - size // 2, min(dim // 2, size // 2)),
    ):
        weight[row : row + kept, column : column + kept] = torch.eye(kept)
    return weight
