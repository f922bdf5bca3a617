"""Ranks every held-out fact in both directions, by every channel and by the decision."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from imf_core.data.known_tails import KnownTails, with_inverses
from imf_core.errors import DivergenceError
from imf_core.evaluation.ranks import filtered_ranks, find_answers
from imf_core.processes import Processes, Shard

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
        progress: Title of a progress bar, None for no bar.

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
    for start in tqdm(starts, desc=progress, disable=None if is_shown else True, leave=False):
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
