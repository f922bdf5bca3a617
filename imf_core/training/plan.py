"""Plans a training step on the CPU, where sizes are known without waiting for a GPU.

A plan lists the scored entities, the rows of each channel and the contrasted entities.
"""

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from imf_core.device import to_device
from imf_core.model.imf import IMF
from imf_core.model.losses import Positives
from imf_core.processes import ALONE, Processes
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
    """Two modalities and the candidates that have both.

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
        self.modalities = list(model.encoders)
        self._is_present = {name: model.is_present(name).cpu() for name in self.channel_names}
        self._is_in_answers = {name: model.is_in_answers(name).cpu() for name in self.channel_names}
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
