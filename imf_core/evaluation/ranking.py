"""Ranks every held-out fact in both directions, by every channel and by the decision.

The rank of the true tail t of a query is the mean of the optimistic rank (t before its ties) and
the pessimistic one (t after them):

    rank = 1 + #{c: z_c > z_t} + #{c != t: z_c = z_t} / 2

where c runs over all entities but the other known answers (the filtered setting of Bordes et al.,
NeurIPS 2013; "realistic" ranks in Berrendorf et al., arXiv 2002.06914). The code counts over all
entities, then subtracts the few known answers. `RankCounts` of disjoint entities add up, so blocks,
devices and processes count apart.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imf_core.base.device import Processes, Shard, to_device
from imf_core.base.errors import DivergenceError
from imf_core.base.terminal import track
from imf_core.graph.known_tails import KnownTails, ragged_arange, with_inverses

CPU_TILE_ELEMENTS = 1 << 18
"""Scores compared at once on a CPU, few enough to fit in its cache."""

GPU_TILE_ELEMENTS = 1 << 25
"""The same on a GPU; also the scores copied at once for queries with several true tails."""

EXACT_FLOATS = 1 << 24
"""Largest integer up to which float32 counts in ones."""

MAX_PAIRS = 1 << 22
"""Pairs of a true tail and another known answer held at once, unless one true tail has more."""


@dataclass(frozen=True)
class Answers:
    """True tails and filtered candidates of a batch of queries, shared by all channels.

    Attributes:
        shard: Entities scored in this process.
        rows: Query of each of P true tails, ascending, shape: (P,), dtype: long.
        num_candidates: Number of candidates of each true tail, itself included, on the CPU, shape:
            (P,), dtype: long.
        held: Indices of the true tails scored in this process, shape: (N,), dtype: long.
        held_columns: Columns of their scores, shape: (N,), dtype: long.
        excluded: The other known answers scored in this process.
    """

    shard: Shard
    rows: Tensor
    num_candidates: Tensor
    held: Tensor
    held_columns: Tensor
    excluded: "Excluded"


class Excluded:
    """The other known answers of each true tail's query, in chunks of bounded size.

    Iterating yields indices of true tails and columns of other answers, shapes: (K,), (K,), dtype:
    long. A single chunk is cached; several are computed again at each iteration.
    """

    def __init__(
        self, rows: Tensor, tails: Tensor, known: tuple[Tensor, Tensor], shard: Shard
    ) -> None:
        known_rows, self._known_tails = known
        sizes = torch.bincount(known_rows, minlength=int(rows[-1]) + 1)
        self._tails, self._shard = tails, shard
        self._sizes, self._firsts = sizes[rows], (sizes.cumsum(0) - sizes)[rows]
        # A chunk ends where the number of pairs passes another multiple of the bound.
        part = self._sizes.cumsum(0).sub(1).clamp_min(0) // MAX_PAIRS
        _, lengths = part.unique_consecutive(return_counts=True)
        stops = lengths.cumsum(0).tolist()
        self._parts = list(zip([0, *stops], stops, strict=False))
        self._kept = [self._find(*self._parts[0])] if len(self._parts) == 1 else None

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(self._kept or (self._find(*part) for part in self._parts))

    def _find(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Returns the chunk of some true tails."""
        answer, index = ragged_arange(self._firsts[start:stop], self._sizes[start:stop])
        answer += start
        others = self._known_tails[index]
        is_other = others != self._tails[answer]
        position, columns = self._shard.find(others[is_other])
        return answer[is_other][position], columns


def find_answers(
    rows: Tensor,
    tails: Tensor,
    known_rows: Tensor,
    known_tails: Tensor,
    shard: Shard,
    device: torch.device,
) -> Answers:
    """Prepares the ranking of a batch on the CPU, once for all channels.

    Args:
        rows: Query of each true tail, ascending, shape: (P,), dtype: long.
        tails: The true tails, shape: (P,), dtype: long.
        known_rows: Query of each known answer, ascending, shape: (K,), dtype: long.
        known_tails: The known answers, with or without the true tails, each (row, tail) at most
            once, shape: (K,), dtype: long.
        shard: Entities scored in this process.
        device: Device of the scores.
    """
    excluded = Excluded(rows, tails, (known_rows, known_tails), shard)
    total = shard.total_rows
    is_known = torch.isin(rows * total + tails, known_rows * total + known_tails)
    num_known = torch.bincount(known_rows, minlength=int(rows[-1]) + 1)[rows]
    num_candidates = total - num_known + is_known.long()
    held, held_columns = shard.find(tails)
    return Answers(
        shard,
        to_device(rows, device),
        num_candidates,
        to_device(held, device),
        to_device(held_columns, device),
        excluded,
    )


@dataclass(frozen=True)
class RankCounts:
    """Candidates that compete with P true tails; counts over disjoint entities add up to the whole.

    Attributes:
        above: Number of scores above that of the true tail, shape: (P,), dtype: float64.
        at_least: Number of scores at least as high, that of the true tail included, shape: (P,),
            dtype: float64.
    """

    above: Tensor
    at_least: Tensor

    def __add__(self, other: "RankCounts") -> "RankCounts":
        return RankCounts(self.above + other.above, self.at_least + other.at_least)

    def ranks(self) -> Tensor:
        """Returns realistic ranks, multiples of one half, shape: (P,), dtype: float64."""
        return 1 + self.above + (self.at_least - self.above - 1) / 2


def filtered_ranks(scores: Tensor, answers: Answers) -> Tensor:
    """Ranks true tails among all entities except other known answers.

    Args:
        scores: Finite scores of B queries for the entities held here, shape: (B, held), dtype:
            float.
        answers: From `find_answers`.

    Returns:
        Realistic ranks, multiples of one half, on the CPU, shape: (P,), dtype: float64.

    Raises:
        LostProcessError: If another process has ended.
    """
    rows, processes = answers.rows, answers.shard.processes
    true_scores = scores.new_zeros(len(rows))
    true_scores[answers.held] = scores[rows[answers.held], answers.held_columns]
    processes.all_reduce([true_scores])
    counts = count_scores(scores, rows, true_scores, answers.excluded)
    processes.all_reduce([counts.above, counts.at_least])
    return counts.ranks().cpu()


def count_scores(
    scores: Tensor, rows: Tensor, true_scores: Tensor, excluded: Iterable[tuple[Tensor, Tensor]]
) -> RankCounts:
    """Counts the scores that compete with true tails, in some columns of the table of scores.

    Args:
        scores: shape: (B, C), dtype: float.
        rows: Row of each true tail, ascending, each row at least once, shape: (P,), dtype: long.
        true_scores: Scores of the true tails, shape: (P,), dtype: float.
        excluded: Pairs of a true tail and a column that does not compete with it, in chunks, on the
            CPU, shapes: (K,), (K,), dtype: long.
    """
    is_first = torch.ones_like(rows, dtype=torch.bool)
    is_first[1:] = rows[1:] != rows[:-1]
    first, rest = is_first.nonzero().flatten(), (~is_first).nonzero().flatten()
    counts = torch.empty(2, len(rows), dtype=torch.float64, device=scores.device)
    # First true tails use the table itself, further ones copies of its rows.
    counts[:, first] = _count_by_row(scores, true_scores[first])
    for some in rest.split(max(1, GPU_TILE_ELEMENTS // max(1, scores.shape[1]))):
        counts[:, some] = _count_by_row(scores.index_select(0, rows[some]), true_scores[some])
    for answer, columns in excluded:
        numbers = to_device(answer, scores.device)
        left_out = scores[rows[numbers], to_device(columns, scores.device)]
        for count, compare in zip(counts, (torch.gt, torch.ge), strict=True):
            count.index_add_(0, numbers, compare(left_out, true_scores[numbers]).double(), alpha=-1)
    return RankCounts(*counts)


def _count_by_row(scores: Tensor, true_scores: Tensor) -> Tensor:
    """Counts, in each row, the scores above its limit and those at least as high, -> (2, B)."""
    counts = torch.zeros(2, len(scores), dtype=torch.float64, device=scores.device)
    size = CPU_TILE_ELEMENTS if scores.device.type == "cpu" else GPU_TILE_ELEMENTS
    num_rows = max(1, size // max(1, scores.shape[1]))
    # Summing floats is many times faster than summing booleans.
    ones = torch.empty(num_rows, min(scores.shape[1], EXACT_FLOATS), device=scores.device)
    for start in range(0, len(scores), num_rows):
        rows = slice(start, start + num_rows)
        for tile in scores[rows].split(EXACT_FLOATS, dim=1):
            for count, compare in zip(counts, (torch.gt, torch.ge), strict=True):
                is_met = ones[: len(tile), : tile.shape[1]]
                compare(tile, true_scores[rows].unsqueeze(1), out=is_met)
                count[rows] += is_met.sum(dim=1)
    return counts


COMBINED = "combined"


class RankingScorer(Protocol):
    """Interface: scores every entity as the tail of a query, in one or several processes."""

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels."""
        ...

    @property
    def shard(self) -> Shard:
        """Entities scored in this process."""
        ...

    @property
    def device(self) -> torch.device:
        """Device of the scores."""
        ...

    def batch_size(self, wanted: int) -> int:
        """Returns the number of queries to score at once, at most `wanted`."""
        ...

    def scores(self, queries: Tensor) -> Iterator[Tensor]:
        """Scores queries by each channel, then by the decision.

        Args:
            queries: (head, relation with inverses), shape: (B, 2), dtype: long, on the CPU.

        Yields:
            Scores, meaningful up to their order; each tensor is valid until the next one, shape:
            (B, held).
        """
        ...


@dataclass(frozen=True)
class RankTable:
    """One row per held-out fact and direction: first all tail queries, then all head queries.

    Attributes:
        queries: (query entity, relation with inverses), shape: (P, 2), dtype: int64.
        answers: The true answers, shape: (P,), dtype: int64.
        is_head_query: Whether the query asks for the head, shape: (P,), dtype: bool.
        ranks: Realistic filtered ranks by channel name, and by `combined` for the decision, shape:
            (P,).
        num_candidates: Size of each ranking, shape: (P,), dtype: int64.
    """

    queries: NDArray[np.int64]
    answers: NDArray[np.int64]
    is_head_query: NDArray[np.bool_]
    ranks: dict[str, NDArray[np.float64]]
    num_candidates: NDArray[np.int64]


def rank_triples(
    scorer: RankingScorer,
    triples: Tensor,
    known: KnownTails,
    num_relations: int,
    batch_size: int,
    progress: str | None = None,
) -> RankTable:
    """Ranks the tail and the head of every triple.

    Each distinct query is scored once, for all its answers. If several processes score a shard of
    the entities each, all rank the same triples and return the same ranks.

    Args:
        scorer: A trained model.
        triples: Facts to rank, shape: (N, 3), dtype: long.
        known: Known facts to filter by.
        num_relations: R, without inverses.
        batch_size: Distinct queries scored at once, at most.
        progress: Title of the shown progress, None to show none.

    Returns:
        2N rows.

    Raises:
        DivergenceError: If a score is not finite.
        LostProcessError: If another process has ended.
    """
    facts = with_inverses(triples, num_relations)
    distinct, member = torch.unique(facts[:, [1, 0]], dim=0, return_inverse=True)
    distinct = distinct.flip(1)  # sorted by relation, then entity
    order = member.argsort(stable=True)
    bounds = torch.searchsorted(member[order], torch.arange(0, len(distinct) + 1))
    batch_size = scorer.batch_size(batch_size)
    names = (*scorer.channel_names, COMBINED)
    ranks = {name: torch.empty(len(facts), dtype=torch.float64) for name in names}
    num_candidates = torch.empty(len(facts), dtype=torch.long)
    starts = range(0, len(distinct), batch_size)
    processes = scorer.shard.processes
    is_shown = progress is not None and processes.is_first
    for start in track(starts, progress or "", len(starts), is_shown=is_shown):
        queries = distinct[start : start + batch_size]
        index = order[bounds[start] : bounds[min(start + batch_size, len(distinct))]]
        rows, tails = member[index] - start, facts[index, 2]
        answers = find_answers(rows, tails, *known.lookup(queries), scorer.shard, scorer.device)
        num_candidates[index] = answers.num_candidates
        for name, scores in zip(names, scorer.scores(queries), strict=True):
            if name == COMBINED:
                _check_finite(scores, processes)
            ranks[name][index] = filtered_ranks(scores, answers)
    return RankTable(
        queries=facts[:, :2].numpy(),
        answers=facts[:, 2].numpy(),
        is_head_query=np.arange(len(facts)) >= len(triples),
        ranks={name: rank.numpy() for name, rank in ranks.items()},
        num_candidates=num_candidates.numpy(),
    )


def _check_finite(scores: Tensor, processes: Processes) -> None:
    """Raises DivergenceError if a score in any process is not finite."""
    total = scores.sum()
    processes.all_reduce([total])
    if not bool(total.isfinite()):
        raise DivergenceError(
            "the model gives scores that are not finite; train it again, with a lower "
            "train.embedding_learning_rate or train.network_learning_rate in params.yaml"
        )
