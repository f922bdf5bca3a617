"""The joint training loss of a planned step: losses and penalties of each channel.

A plan lists the scored entities, the rows of each channel and the contrasted entities; it is made
on the CPU, where sizes are known without waiting for a GPU.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

from imf_core.base.config import TrainingSpec
from imf_core.base.device import ALONE, Processes, to_device
from imf_core.model.encoders import BlockDiagonalContext
from imf_core.model.fusion import Fusion
from imf_core.model.imf import FUSED, IMF
from imf_core.model.kernels import in_chunks
from imf_core.model.loss_kernels import (
    FixedScores,
    Positives,
    grouped_binary_cross_entropy,
    grouped_cross_entropy,
)
from imf_core.training.batches import Batch


@dataclass(frozen=True)
class Rows:
    """The rows of a batch that one channel takes part in, and this process's shard of them.

    Attributes:
        heads: Position of each query's entity among the candidates, shape: (B,), dtype: long.
        relations: With inverses, shape: (B,), dtype: long, on the CPU (see `Context`).
        shard: Rows that this process scores.
        positives: Answers of the shard, as positions among the candidates.
        num_positives: Number of answers of all rows.
    """

    heads: Tensor
    relations: Tensor
    shard: slice
    positives: Positives
    num_positives: int


@dataclass(frozen=True)
class Pair:
    """Two modalities and the query entities that have both.

    Attributes:
        left: Index of the first modality.
        right: Index of the second modality.
        rows: Positions among the batch's distinct query entities, shape: (N,), dtype: long.
    """

    left: int
    right: int
    rows: Tensor


@dataclass(frozen=True)
class Plan:
    """Plan of one step.

    Attributes:
        entity_ids: The candidates, each once, shape: (C,), dtype: long.
        rows: Rows by channel.
        query_entities: Positions of the distinct query entities, shape: (Q,), dtype: long.
        pairs: Pairs of modalities in the contrastive term.
    """

    entity_ids: Tensor
    rows: dict[str, Rows]
    query_entities: Tensor
    pairs: list[Pair]


class Planner:
    """Plans steps for a model.

    Args:
        model: Its masks tell which entities have which modality.
        sampled_candidates: `train.sampled_candidates`.
        device: Device of the step.
        processes: All plan the same step; each takes its shard of the rows.
    """

    def __init__(
        self,
        model: IMF,
        sampled_candidates: int,
        device: torch.device,
        processes: Processes = ALONE,
    ) -> None:
        self.num_entities = model.num_entities
        self.sampled_candidates = sampled_candidates
        self.device = device
        self.processes = processes
        self.channel_names = model.channel_names
        self.modalities = list(model.modality_channels)
        self._is_present = {name: each.is_present.cpu() for name, each in model.channels.items()}
        self._is_in_answers = {
            name: each.is_in_answers.cpu() for name, each in model.channels.items()
        }
        self._has_loops = model.has_loops.cpu()
        self._everything = torch.arange(model.num_entities, device=device)

    def plan(self, batch: Batch, generator: torch.Generator) -> Plan:
        """Plans the step of a batch.

        Args:
            batch: On the CPU.
            generator: CPU generator for sampled candidates.
        """
        heads, columns = batch.heads, batch.tails
        query_entities = heads.unique()
        if 0 < self.sampled_candidates < self.num_entities:
            sample = torch.randint(
                self.num_entities, (self.sampled_candidates,), generator=generator
            )
            candidates = torch.cat([query_entities, columns, sample]).unique()
            heads = torch.searchsorted(candidates, heads)
            columns = torch.searchsorted(candidates, columns)
            positions = torch.searchsorted(candidates, query_entities)
            entity_ids = to_device(candidates, self.device)
        else:
            entity_ids, positions = self._everything, query_entities
        return Plan(
            entity_ids,
            {name: self._rows(name, batch, heads, columns) for name in self.channel_names},
            to_device(positions, self.device),
            self._pairs(query_entities),
        )

    def _rows(self, name: str, batch: Batch, heads: Tensor, columns: Tensor) -> Rows:
        """Returns the rows of one channel; `heads` and `columns` are candidate positions."""
        # `Channel.takes_part` on the CPU, where all entities of train are learned.
        takes_part = (
            self._is_present[name][batch.heads] | self._is_in_answers[name][batch.relations]
        )
        sizes = batch.offsets.diff()
        kept, relations = sizes[takes_part], batch.relations[takes_part]
        own_columns = heads[takes_part]
        kept_columns = columns[torch.repeat_interleave(takes_part, sizes)]
        offsets = torch.cat([kept.new_zeros(1), kept.cumsum(0)])
        mine = self.processes.shard(len(kept))
        shard = slice(mine.start, mine.stop)
        first, stop = offsets[[mine.start, mine.stop]].tolist()
        row = torch.repeat_interleave(torch.arange(len(mine)), kept[shard])
        return Rows(
            to_device(own_columns, self.device),
            relations,
            shard,
            Positives(
                offsets[mine.start : mine.stop + 1] - first,
                to_device(row, self.device),
                to_device(kept_columns[first:stop], self.device),
                to_device(kept[shard].float(), self.device),
                to_device(own_columns[shard], self.device),
                to_device(self._has_loops[relations[shard]], self.device),
            ),
            len(kept_columns),
        )

    def _pairs(self, query_entities: Tensor) -> list[Pair]:
        """Finds, for every two modalities, the query entities that have both."""
        present = [self._is_present[name][query_entities] for name in self.modalities]
        return [
            Pair(i, j, to_device((present[i] & present[j]).nonzero().flatten(), self.device))
            for i, j in combinations(range(len(present)), 2)
        ]


class Objective:
    """`sum_k (L_k + n3_k * N3_k) + relation_weight * L_r + contrastive_weight * InfoNCE`.

    The sum is over the channels k; L_r is the structural channel's loss of predicting the relation
    between head and tail.

    Each channel has its own loss and its own relations, so none relies on another during training;
    their weights are fitted on held-out facts (`decision_fit`). With `fusion.complement`, the fused
    channel learns to correct the channels of the features.

    Processes share the scoring, which takes most of the time: each computes the loss of its own
    rows, divided by the totals of the whole batch, so losses and gradients add up to those of one
    process. Every process computes the rest, context vectors included, for the whole batch, so all
    draw the same dropout.

    Args:
        model: The model to train.
        spec: Parameters of the training.
        matmul_dtype: Dtype of the matrix products of the losses.
        processes: Share the rows.
    """

    def __init__(
        self,
        model: IMF,
        spec: TrainingSpec,
        matmul_dtype: torch.dtype,
        processes: Processes = ALONE,
    ) -> None:
        self.model = model
        self.train = train = spec.train
        self.fusion = fusion = spec.fusion
        self.matmul_dtype = matmul_dtype
        self.n3 = {"structural": train.n3, FUSED: train.fused_n3}
        self.contrastive_weight = fusion.contrastive_weight / processes.count

    def __call__(self, plan: Plan) -> Tensor:
        """Returns this process's part of a step's loss, a scalar."""
        entities = self.model.encode(plan.entity_ids)
        relation_tables = self.model.relation_tables()
        terms = []
        for name in self.model.channels:
            rows, given = plan.rows[name], None
            if name == FUSED and self.fusion.complement:
                given = self._given(rows, plan.entity_ids, entities, relation_tables)
            terms.append(
                self._channel_loss(name, rows, entities[name], relation_tables[name], given)
            )
        if self.contrastive_weight > 0 and plan.pairs and self.model.fusion is not None:
            terms.append(
                self.contrastive_weight * self._contrastive(self.model.fusion, entities, plan)
            )
        return torch.stack(terms).sum()

    @torch.no_grad()
    def _given(
        self,
        rows: Rows,
        entity_ids: Tensor,
        entities: Mapping[str, Tensor],
        relation_tables: Mapping[str, Tensor],
    ) -> FixedScores:
        """Returns the mean score of the feature channels that take part in each query.

        Our choice: the fused channel learns to correct them; otherwise it becomes a second
        structural channel. The structural channel is left out: it memorises train, so nothing
        would be left to correct.
        """
        relations = to_device(rows.relations, entity_ids.device)
        asked = torch.stack([entity_ids.index_select(0, rows.heads), relations], dim=1)
        names = [name for name in self.model.modality_channels if name != "structural"]
        takes_part = torch.stack(
            [self.model.channels[name].takes_part(asked, self.model.is_learned) for name in names],
            dim=1,
        ).float()
        weights = takes_part / takes_part.sum(dim=1, keepdim=True).clamp_min(1.0)
        queries = []
        for name, weight in zip(names, weights.unbind(dim=1), strict=True):
            heads = entities[name].index_select(0, rows.heads)
            context = self.model.channels[name].context(
                heads, relation_tables[name], rows.relations
            )
            queries.append(context * weight.unsqueeze(1))
        candidates = torch.cat([entities[name] for name in names], dim=1)
        return FixedScores(torch.cat(queries, dim=1)[rows.shard], candidates)

    def _channel_loss(
        self,
        name: str,
        rows: Rows,
        candidates: Tensor,
        relation_table: Tensor,
        given: FixedScores | None,
    ) -> Tensor:
        """Returns loss and penalty of a channel over the queries it takes part in."""
        num_queries = len(rows.heads)
        if num_queries == 0:
            return 0.0 * relation_table.sum()  # keeps the autograd graph where no query takes part
        channel = self.model.channels[name]
        heads = candidates.index_select(0, rows.heads)
        queries = channel.context(heads, relation_table, rows.relations)[rows.shard]
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
        positives = rows.positives
        tails = candidates.index_select(0, positives.columns)
        pairs = BlockDiagonalContext.pair(heads.index_select(0, positives.rows), tails)
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
        moduli = self.model.channels[name].form.moduli
        columns = rows.positives.columns
        relation_ids = to_device(rows.relations[rows.shard], columns.device)
        relations = relation_table.index_select(0, relation_ids)
        cubes = moduli(heads).pow(3).sum(dim=1) + moduli(relations).pow(3).sum(dim=1)
        tails = moduli(candidates).pow(3).sum(dim=1).index_select(0, columns)
        return ((rows.positives.counts * cubes).sum() + tails.sum()) / rows.num_positives

    def _contrastive(self, fusion: Fusion, entities: dict[str, Tensor], plan: Plan) -> Tensor:
        """Returns the mean InfoNCE over pairs of modalities, between their fusion factors.

        Our choice: the modalities' own spaces stay apart; the term aligns only their projections
        for the fusion. Without a fused channel there is no such term.
        """
        chosen = [
            entities[name].index_select(0, plan.query_entities)
            for name in self.model.modality_channels
        ]
        factors = fusion.factors(chosen)
        terms = [
            info_nce(
                factors[pair.left].index_select(0, pair.rows),
                factors[pair.right].index_select(0, pair.rows),
                self.fusion.contrastive_temperature,
            )
            for pair in plan.pairs
        ]
        return torch.stack(terms).mean()


def relation_cross_entropy(
    pairs: Tensor, relation_table: Tensor, relations: Tensor, counts_in_all: int
) -> Tensor:
    """Returns the softmax cross entropy of the relation between a head and a tail.

    An auxiliary loss (Chen et al., AKBC 2021, arXiv 2110.02834).

    Args:
        pairs: Vectors of (head, tail) pairs in the space of relations, shape: (P, D).
        relation_table: Relations with inverses, shape: (2R, D).
        relations: True relations, shape: (P,), dtype: long.
        counts_in_all: Number of pairs over all processes.

    Returns:
        Sum over the P pairs divided by `counts_in_all`, a scalar.
    """

    def total(some: Tensor, true: Tensor) -> Tensor:
        return F.cross_entropy(some @ relation_table.T, true, reduction="sum")

    parts = in_chunks(total, [pairs, relations], len(relation_table))
    return torch.stack(list(parts)).sum() / counts_in_all


def info_nce(left: Tensor, right: Tensor, temperature: float) -> Tensor:
    """Returns symmetric InfoNCE between two views of the same N entities (arXiv 1807.03748).

    Our choice, since the released contrastive loss does not parse and is never called. Negatives
    are the other entities of the batch in the other modality; similarity is the cosine.

    Args:
        left: One modality's vectors, shape: (N, D).
        right: The other modality's vectors of the same entities, shape: (N, D).
        temperature: Divisor of the cosine.

    Returns:
        Mean loss, a scalar; zero if fewer than two entities have both modalities.
    """
    if len(left) < 2:
        return left.new_zeros(())
    similarity = F.normalize(left, dim=1) @ F.normalize(right, dim=1).T / temperature
    target = torch.arange(len(left), device=left.device)
    return (F.cross_entropy(similarity, target) + F.cross_entropy(similarity.T, target)) / 2
