"""From scores to ranks: filtered, with the realistic treatment of ties.

The rank of the true tail t of a query among its candidates is the mean of the optimistic rank
(t before its ties) and the pessimistic one (t after them):

    rank = 1 + #{c: z_c > z_t} + #{c != t: z_c = z_t} / 2

where c runs over all entities but the other known answers (the filtered setting of Bordes et al.,
NeurIPS 2013; the name "realistic" is that of Berrendorf et al., arXiv 2002.06914). Counted are all
entities, and then the few known answers are taken off.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

TILE_ELEMENTS = 1 << 18
"""Scores compared at once on a CPU, few enough to stay in its cache."""

GPU_TILE_ELEMENTS = 1 << 25
"""The same on a GPU."""

EXACT_FLOATS = 1 << 24
"""Up to here float32 counts in ones."""


@dataclass(frozen=True)
class Ranks:
    """Ranks of P true tails.

    Attributes:
        rank: Realistic rank, a multiple of one half, shape: (P,), dtype: float64.
        num_candidates: Entities the true tail was ranked among, itself included, shape: (P,),
            dtype: long.
    """

    rank: Tensor
    num_candidates: Tensor


def filtered_ranks(
    scores: Tensor, rows: Tensor, tails: Tensor, known_rows: Tensor, known_tails: Tensor
) -> Ranks:
    """Ranks true tails among all entities that are not another known answer.

    Args:
        scores: Scores of every entity for B queries, finite, shape: (B, E), dtype: float.
        rows: Query of each true tail, ascending, shape: (P,), dtype: long.
        tails: The true tails, shape: (P,), dtype: long.
        known_rows: Query of each known answer, ascending, shape: (K,), dtype: long.
        known_tails: The known answers, the true tails among them or not, each (row, tail) at most
            once, shape: (K,), dtype: long.

    Returns:
        Ranks on the CPU, in the order of `tails`.
    """
    targets = scores[rows, tails]
    greater, at_least = count_scores(scores, rows, targets)
    answer, index = _pair(rows, known_rows, len(scores))
    is_other = known_tails[index] != tails[answer]
    known_scores, limits = scores[rows[answer], known_tails[index]], targets[answer]
    greater -= _count(answer, is_other & (known_scores > limits), len(rows))
    at_least -= _count(answer, is_other & (known_scores >= limits), len(rows))
    others = _count(answer, is_other, len(rows))
    # The true tail itself is among those that score at least as much.
    rank = 1 + greater + (at_least - greater - 1) / 2
    return Ranks(rank.double().cpu(), (scores.shape[1] - others).long().cpu())


def count_scores(scores: Tensor, rows: Tensor, limits: Tensor) -> tuple[Tensor, Tensor]:
    """Counts in rows of a table the scores above a limit, and those at least as high.

    Args:
        scores: shape: (B, E), dtype: float.
        rows: Which row for each limit, ascending, shape: (P,), dtype: long.
        limits: shape: (P,), dtype: float.

    Returns:
        Two counts, shape: (P,), dtype: float64.
    """
    is_first = torch.ones_like(rows, dtype=torch.bool)
    is_first[1:] = rows[1:] != rows[:-1]
    counts = torch.empty(2, len(rows), dtype=torch.float64, device=scores.device)
    for chosen in (is_first.nonzero().flatten(), (~is_first).nonzero().flatten()):
        # Most queries have one true tail: where all rows are meant, none need be copied.
        is_whole = len(chosen) == len(scores)
        table = scores if is_whole else scores.index_select(0, rows[chosen])
        counts[:, chosen] = _count_by_row(table, limits[chosen])
    greater, at_least = counts
    return greater, at_least


def _count_by_row(scores: Tensor, limits: Tensor) -> Tensor:
    """Counts in each row the scores above its limit, and those at least as high, -> (2, B)."""
    counts = torch.zeros(2, len(scores), dtype=torch.float64, device=scores.device)
    size = TILE_ELEMENTS if scores.device.type == "cpu" else GPU_TILE_ELEMENTS
    num_rows = max(1, size // scores.shape[1])
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


def _pair(rows: Tensor, known_rows: Tensor, num_rows: int) -> tuple[Tensor, Tensor]:
    """Pairs every true tail with the known answers of its query.

    Returns:
        Number of the true tail and of the known answer, shapes: (Q,), (Q,), dtype: long.
    """
    sizes = torch.bincount(known_rows, minlength=num_rows)
    first = (sizes.cumsum(0) - sizes)[rows]
    answer = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), sizes[rows])
    before = sizes[rows].cumsum(0) - sizes[rows]
    within = torch.arange(len(answer), device=rows.device) - before[answer]
    return answer, first[answer] + within


def _count(group: Tensor, is_counted: Tensor, num_groups: int) -> Tensor:
    """Counts true values by group, shapes: (Q,), (Q,) -> (num_groups,), dtype: float64."""
    return torch.bincount(group, weights=is_counted.double(), minlength=num_groups)
