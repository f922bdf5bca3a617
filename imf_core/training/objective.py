"""The joint training loss: each channel's loss and penalty, relation loss, contrastive term."""

from collections.abc import Mapping

import torch
from torch import Tensor

from imf_core.config import FusionParams, TrainParams
from imf_core.device import to_device
from imf_core.model.contexts import BlockDiagonalContext
from imf_core.model.imf import FUSED, IMF
from imf_core.model.losses import (
    Given,
    grouped_binary_cross_entropy,
    grouped_cross_entropy,
    info_nce,
    relation_cross_entropy,
)
from imf_core.processes import ALONE, Processes
from imf_core.training.plan import Plan, Rows


class Objective:
    """`sum_k (L_k + n3_k * N3_k) + contrastive_weight * InfoNCE` over the channels k.

    The structural channel's loss has a further term, `relation_weight * L_r`, for predicting the
    relation between head and tail.

    Each channel has its own loss and its own relations, so none relies on another during training;
    their weights are fitted on held-out facts (`decision_fit`). With `fusion.complement`, the fused
    channel learns to correct the image and text channels.

    Processes share the scoring, which takes most of the time: each computes the loss of its own
    rows, divided by the totals of the whole batch, so losses and gradients add up to those of one
    process. Every process computes the rest, context vectors included, for the whole batch, so all
    draw the same dropout.

    Args:
        model: The model to train.
        train: Section `train` of the parameters.
        fusion: Section `fusion` of the parameters.
        matmul_dtype: Dtype of the matrix products of the losses.
        processes: Share the rows.
    """

    def __init__(
        self,
        model: IMF,
        train: TrainParams,
        fusion: FusionParams,
        matmul_dtype: torch.dtype,
        processes: Processes = ALONE,
    ) -> None:
        self.model = model
        self.train = train
        self.fusion = fusion
        self.matmul_dtype = matmul_dtype
        self.n3 = {"structural": train.n3, FUSED: train.fused_n3}
        self.contrastive_weight = fusion.contrastive_weight / processes.count

    def __call__(self, plan: Plan) -> Tensor:
        """Returns this process's part of a step's loss, a scalar."""
        entities = self.model.embed_entities(plan.entity_ids)
        relation_tables = self.model.embed_relations()
        terms = []
        for name in self.model.channel_names:
            rows, given = plan.rows[name], None
            if name == FUSED and self.fusion.complement:
                given = self._given(rows, plan.entity_ids, entities, relation_tables)
            terms.append(
                self._channel_loss(name, rows, entities[name], relation_tables[name], given)
            )
        if self.contrastive_weight > 0 and plan.pairs and FUSED in self.model.channel_names:
            terms.append(self.contrastive_weight * self._contrastive(entities, plan))
        return torch.stack(terms).sum()

    @torch.no_grad()
    def _given(
        self,
        rows: Rows,
        entity_ids: Tensor,
        entities: Mapping[str, Tensor],
        relation_tables: Mapping[str, Tensor],
    ) -> Given:
        """Returns the mean score of the image and text channels that take part in each query.

        Our choice: the fused channel learns to correct them; otherwise it becomes a second
        structural channel. The structural channel is left out: it memorises train, so nothing
        would be left to correct.
        """
        relations = to_device(rows.relations, entity_ids.device)
        asked = entity_ids.index_select(0, rows.heads)
        names = [name for name in self.model.encoders if name != "structural"]
        takes_part = torch.stack(
            [self.model.can_answer(name, asked, relations) for name in names], dim=1
        ).float()
        weights = takes_part / takes_part.sum(dim=1, keepdim=True).clamp_min(1.0)
        queries = []
        for name, weight in zip(names, weights.unbind(dim=1), strict=True):
            heads = entities[name].index_select(0, rows.heads)
            context = self.model.scorer(name)(heads, relation_tables[name], rows.relations)
            queries.append(context * weight.unsqueeze(1))
        candidates = torch.cat([entities[name] for name in names], dim=1)
        return Given(torch.cat(queries, dim=1)[rows.shard], candidates)

    def _channel_loss(
        self,
        name: str,
        rows: Rows,
        candidates: Tensor,
        relation_table: Tensor,
        given: Given | None,
    ) -> Tensor:
        """Returns loss and penalty of a channel over the queries it takes part in."""
        num_queries = len(rows.heads)
        if num_queries == 0:
            return 0.0 * relation_table.sum()  # keeps the autograd graph where no query takes part
        heads = candidates.index_select(0, rows.heads)
        queries = self.model.scorer(name)(heads, relation_table, rows.relations)[rows.shard]
        if self.train.loss == "cross-entropy":
            total = grouped_cross_entropy(
                queries, candidates, rows.positives, self.matmul_dtype, given
            )
            loss = total / rows.num_positives
        else:
            smoothing = self.train.label_smoothing
            total = grouped_binary_cross_entropy(
                queries, candidates, rows.positives, self.matmul_dtype, smoothing, given
            )
            loss = total / num_queries
        weight = self.n3.get(name, self.train.encoder_n3)
        if weight > 0:
            own = heads[rows.shard]
            loss = loss + weight * self._n3(name, rows, own, candidates, relation_table)
        if name == "structural" and self.train.relation_weight > 0:
            loss = loss + self.train.relation_weight * self._relation_loss(
                rows, heads[rows.shard], candidates, relation_table
            )
        return loss

    def _relation_loss(
        self, rows: Rows, heads: Tensor, candidates: Tensor, relation_table: Tensor
    ) -> Tensor:
        """Returns the loss of predicting each positive's relation by the structural channel."""
        context = self.model.scorer("structural").context
        assert isinstance(context, BlockDiagonalContext)
        positives = rows.positives
        tails = candidates.index_select(0, positives.columns)
        pairs = context.pair(heads.index_select(0, positives.rows), tails)
        relations = to_device(rows.relations[rows.shard], positives.rows.device)
        return relation_cross_entropy(
            pairs, relation_table, relations.index_select(0, positives.rows), rows.num_positives
        )

    def _n3(
        self, name: str, rows: Rows, heads: Tensor, candidates: Tensor, relation_table: Tensor
    ) -> Tensor:
        """Returns the nuclear 3-norm penalty, a mean over positives.

        Lacroix et al., ICML 2018, arXiv 1806.07297. `heads` are those of this process's rows.
        """
        moduli = self.model.scorer(name).context.moduli
        columns = rows.positives.columns
        relation_ids = to_device(rows.relations[rows.shard], columns.device)
        relations = relation_table.index_select(0, relation_ids)
        cubes = moduli(heads).pow(3).sum(dim=1) + moduli(relations).pow(3).sum(dim=1)
        tails = moduli(candidates).pow(3).sum(dim=1).index_select(0, columns)
        return ((rows.positives.counts * cubes).sum() + tails.sum()) / rows.num_positives

    def _contrastive(self, entities: dict[str, Tensor], plan: Plan) -> Tensor:
        """Returns the mean InfoNCE over pairs of modalities, between their fusion factors.

        Our choice: the modalities' own spaces stay apart; the term aligns only their projections
        for the fusion. Without a fused channel there is no such term.
        """
        chosen = [
            entities[name].index_select(0, plan.query_entities) for name in self.model.encoders
        ]
        factors = self.model.fusion_factors(chosen)
        terms = [
            info_nce(
                factors[pair.left].index_select(0, pair.rows),
                factors[pair.right].index_select(0, pair.rows),
                self.fusion.contrastive_temperature,
            )
            for pair in plan.pairs
        ]
        return torch.stack(terms).mean()
