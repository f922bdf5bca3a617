"""The joint training loss: every head's own loss, the N3 penalty and the contrastive term."""

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from imf_core.config import FusionParams, TrainParams
from imf_core.model.imf import IMF, Embeddings
from imf_core.model.losses import (
    grouped_binary_cross_entropy,
    grouped_cross_entropy,
    info_nce,
)
from imf_core.training.batches import Batch


@dataclass(frozen=True)
class Rows:
    """A batch whose entities are positions among the step's candidates.

    Attributes:
        heads: Position of the query entity, shape: (B,), dtype: long.
        relations: With inverses, shape: (B,), dtype: long.
        offsets: CSR offsets into `columns`, shape: (B + 1,), dtype: long.
        columns: Positions of the positives, shape: (P,), dtype: long.
    """

    heads: Tensor
    relations: Tensor
    offsets: Tensor
    columns: Tensor

    def keep(self, chosen: Tensor) -> "Rows":
        """Returns only the rows where `chosen`, shape: (B,), dtype: bool, is true."""
        sizes = self.offsets.diff()
        kept = sizes[chosen]
        return Rows(
            heads=self.heads[chosen],
            relations=self.relations[chosen],
            offsets=torch.cat([kept.new_zeros(1), kept.cumsum(0)]),
            columns=self.columns[torch.repeat_interleave(chosen, sizes)],
        )


class Objective:
    """`sum_k (L_k + n3_k * N3_k) + contrastive_weight * InfoNCE` over the heads k.

    Each head has its own loss and its own relations, so that none leans on another while it
    learns; what they are worth together is decided on held-out facts (`decision_fit`).

    Args:
        model: The model to train.
        train: Section `train` of the parameters.
        fusion: Section `fusion` of the parameters.
        matmul_dtype: What the matrix products of the losses are computed in.
    """

    def __init__(
        self, model: IMF, train: TrainParams, fusion: FusionParams, matmul_dtype: torch.dtype
    ) -> None:
        self.model = model
        self.train = train
        self.fusion = fusion
        self.matmul_dtype = matmul_dtype

    def __call__(self, batch: Batch) -> Tensor:
        """Returns the loss of a batch, a scalar."""
        entity_ids, rows = self._candidates(batch)
        entities = self.model.embed_entities(entity_ids)
        relation_tables = self.model.embed_relations()
        loss = rows.heads.new_zeros((), dtype=torch.float32)
        for name in self.model.head_names:
            loss = loss + self._head_loss(name, rows, entities[name], relation_tables[name])
        if self.fusion.contrastive_weight > 0 and len(self.model.encoders) > 1:
            heads = rows.heads.unique()
            loss = loss + self.fusion.contrastive_weight * self._contrastive(entities, heads)
        return loss

    def _candidates(self, batch: Batch) -> tuple[Tensor, Rows]:
        """Chooses the entities to score: all, or the batch's own and a random sample."""
        device = batch.heads.device
        num_entities = self.model.num_entities
        if not 0 < self.train.sampled_candidates < num_entities:
            everything = torch.arange(num_entities, device=device)
            return everything, Rows(batch.heads, batch.relations, batch.offsets, batch.tails)
        sample = torch.randint(num_entities, (self.train.sampled_candidates,), device=device)
        entity_ids = torch.cat([batch.heads, batch.tails, sample]).unique()
        heads = torch.searchsorted(entity_ids, batch.heads)
        columns = torch.searchsorted(entity_ids, batch.tails)
        return entity_ids, Rows(heads, batch.relations, batch.offsets, columns)

    def _head_loss(
        self, name: str, rows: Rows, entities: Embeddings, relation_table: Tensor
    ) -> Tensor:
        """Returns loss and penalty of one head over the queries it can answer."""
        rows = rows.keep(self.model.can_answer(name, entities[rows.heads], rows.relations))
        if len(rows.heads) == 0:
            return 0.0 * relation_table.sum()  # keeps the graph of a batch nobody can answer
        scorer = self.model.scorer(name)
        candidates = entities.vectors
        queries = scorer(candidates.index_select(0, rows.heads), relation_table, rows.relations)
        if self.train.loss == "cross-entropy":
            loss = grouped_cross_entropy(
                queries, candidates, rows.offsets, rows.columns, self.matmul_dtype
            )
        else:
            loss = grouped_binary_cross_entropy(
                queries,
                candidates,
                rows.offsets,
                rows.columns,
                self.matmul_dtype,
                self.train.label_smoothing,
            )
        weight = self.train.n3 if name == "structural" else self.train.encoder_n3
        if weight > 0:
            loss = loss + weight * self._n3(name, rows, entities, relation_table)
        return loss

    def _n3(self, name: str, rows: Rows, entities: Embeddings, relation_table: Tensor) -> Tensor:
        """Nuclear 3-norm penalty, mean over positives (Lacroix et al., ICML 2018, 1806.07297)."""
        moduli = self.model.scorer(name).context.moduli
        weight = rows.offsets.diff() / len(rows.columns)
        head = moduli(entities.vectors.index_select(0, rows.heads)).pow(3).sum(dim=1)
        relation = moduli(relation_table.index_select(0, rows.relations)).pow(3).sum(dim=1)
        tail = moduli(entities.vectors).pow(3).sum(dim=1).index_select(0, rows.columns).mean()
        return (weight * (head + relation)).sum() + tail

    def _contrastive(self, entities: dict[str, Embeddings], chosen: Tensor) -> Tensor:
        """Mean InfoNCE over pairs of modalities, in the space where fusion multiplies them.

        Our choice: the modalities' own spaces stay apart; only their projections for the fusion
        are drawn together.
        """
        modalities = [entities[name] for name in self.model.encoders]
        factors = self.model.fusion_factors([each.vectors[chosen] for each in modalities])
        present = [each.is_present[chosen] for each in modalities]
        terms = [
            info_nce(
                factors[i][present[i] & present[j]],
                factors[j][present[i] & present[j]],
                self.fusion.contrastive_temperature,
            )
            for i, j in combinations(range(len(modalities)), 2)
        ]
        return torch.stack(terms).mean()
