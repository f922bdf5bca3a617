"""From scores to ranks: filtered, with the realistic treatment of ties.

The rank of the true tail t of a query among its candidates is the mean of the optimistic rank
(t before its ties) and the pessimistic one (t after them):

    rank = 1 + #{c: z_c > z_t} + #{c != t: z_c = z_t} / 2

where c runs over all entities but the other known answers (the filtered setting of Bordes et al.,
NeurIPS 2013; the name "realistic" is that of Berrendorf et al., arXiv 2002.06914). Counted are all
entities, and then the few known answers are taken off.

Where several processes hold the scores of some entities each, all of them rank the same true tails:
the score of a true tail comes from the process that has it, each counts among its own entities, and
the counts are added up.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from imf_core.device import send
from imf_core.processes import Shard

TILE_ELEMENTS = 1 << 18
"""Scores compared at once on a CPU, few enough to stay in its cache."""

GPU_TILE_ELEMENTS = 1 << 25
"""The same on a GPU."""

EXACT_FLOATS = 1 << 24
"""Up to here float32 counts in ones."""


@dataclass(frozen=True)
class Answers:
    """P true tails of B queries and whom they do not compete with: what all heads have in common.

    Attributes:
        shard: Which entities have their scores here.
        rows: Query of each true tail, ascending, shape: (P,), dtype: long.
        num_candidates: Entities that each is ranked among, itself included, shape: (P,),
            dtype: long, on the CPU.
        held: Which of the true tails have their scores here, shape: (N,), dtype: long.
        held_columns: Where, shape: (N,), dtype: long.
        excluded_from: For which true tail another known answer that has its score here does not
            count, shape: (K,), dtype: long.
        excluded_columns: Where it has it, shape: (K,), dtype: long.
    """

    shard: Shard
    rows: Tensor
    num_candidates: Tensor
    held: Tensor
    held_columns: Tensor
    excluded_from: Tensor
    excluded_columns: Tensor


def find_answers(
    rows: Tensor,
    tails: Tensor,
    known_rows: Tensor,
    known_tails: Tensor,
    shard: Shard,
    device: torch.device,
) -> Answers:
    """Works out once what ranking by each head needs to know, on the CPU.

    Args:
        rows: Query of each true tail, ascending, shape: (P,), dtype: long.
        tails: The true tails, shape: (P,), dtype: long.
        known_rows: Query of each known answer, ascending, shape: (K,), dtype: long.
        known_tails: The known answers, the true tails among them or not, each (row, tail) at most
            once, shape: (K,), dtype: long.
        shard: Which entities are scored here.
        device: Where they are.
    """
    answer, index = _pair(rows, known_rows)
    is_other = known_tails[index] != tails[answer]
    answer, others = answer[is_other], known_tails[index[is_other]]
    num_candidates = shard.num_rows - torch.bincount(answer, minlength=len(rows))
    position, excluded_columns = shard.find(others)
    found = (rows, *shard.find(tails), answer[position], excluded_columns)
    rows, held, held_columns, excluded_from, excluded_columns = (send(x, device) for x in found)
    return Answers(shard, rows, num_candidates, held, held_columns, excluded_from, excluded_columns)


def filtered_ranks(scores: Tensor, answers: Answers) -> Tensor:
    """Ranks true tails among all entities that are not another known answer.

    Args:
        scores: Of the entities held here for B queries, finite, shape: (B, held), dtype: float.
        answers: From `find_answers`.

    Returns:
        Realistic ranks, multiples of one half, on the CPU, shape: (P,), dtype: float64.

    Raises:
        LostProcessError: If another process has ended.
    """
    rows, processes = answers.rows, answers.shard.processes
    limits = scores.new_zeros(len(rows))
    limits[answers.held] = scores[rows[answers.held], answers.held_columns]
    processes.add([limits])
    counts = count_scores(scores, rows, limits)
    excluded = scores[rows[answers.excluded_from], answers.excluded_columns]
    own_limits = limits[answers.excluded_from]
    for count, compare in zip(counts, (torch.gt, torch.ge), strict=True):
        is_counted = compare(excluded, own_limits).double()
        count.index_add_(0, answers.excluded_from, is_counted, alpha=-1)
    processes.add([counts])
    greater, at_least = counts
    # The true tail itself is among those that score at least as much.
    rank: Tensor = 1 + greater + (at_least - greater - 1) / 2
    return rank.cpu()


def count_scores(scores: Tensor, rows: Tensor, limits: Tensor) -> Tensor:
    """Counts in rows of a table the scores above a limit, and those at least as high.

    Args:
        scores: shape: (B, E), dtype: float.
        rows: Which row for each limit, ascending, shape: (P,), dtype: long.
        limits: shape: (P,), dtype: float.

    Returns:
        Both counts, shape: (2, P), dtype: float64.
    """
    is_first = torch.ones_like(rows, dtype=torch.bool)
    is_first[1:] = rows[1:] != rows[:-1]
    counts = torch.empty(2, len(rows), dtype=torch.float64, device=scores.device)
    for chosen in (is_first.nonzero().flatten(), (~is_first).nonzero().flatten()):
        # Most queries have one true tail: where all rows are meant, none need be copied.
        is_whole = len(chosen) == len(scores)
        table = scores if is_whole else scores.index_select(0, rows[chosen])
        counts[:, chosen] = _count_by_row(table, limits[chosen])
    return counts


def _count_by_row(scores: Tensor, limits: Tensor) -> Tensor:
    """Counts in each row the scores above its limit, and those at least as high, -> (2, B)."""
    counts = torch.zeros(2, len(scores), dtype=torch.float64, device=scores.device)
    size = TILE_ELEMENTS if scores.device.type == "cpu" else GPU_TILE_ELEMENTS
    num_rows = max(1, size // max(1, scores.shape[1]))
    # Comparisons written as floats are summed many times faster than as booleans.
    ones = torch.empty(num_rows, min(scores.shape[1], EXACT_FLOATS), device=scores.device)
    for start in range(0, len(scores), num_rows):
        rows = slice(start, start + num_rows)
        for tile in scores[rows].split(EXACT_FLOATS, dim=1):
            for count, compare in zip(counts, (torch.gt, torch.ge), strict=True):
                is_met = ones[: len(tile), : tile.shape[1]]
                compare(tile, limits[rows].unsqueeze(1), out=is_met)
                count[rows] += is_met.sum(dim=1)
    return counts


def _pair(rows: Tensor, known_rows: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs every true tail with the known answers of its query.

    Returns:
        Number of the true tail and of the known answer, shapes: (Q,), (Q,), dtype: long.
    """
    sizes = torch.bincount(known_rows, minlength=int(rows[-1]) + 1)
    first = (sizes.cumsum(0) - sizes)[rows]
    answer = torch.repeat_interleave(torch.arange(len(rows)), sizes[rows])
    before = sizes[rows].cumsum(0) - sizes[rows]
    within = torch.arange(len(answer)) - before[answer]
    return answer, first[answer] + within
