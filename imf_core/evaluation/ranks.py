"""From scores to ranks: filtered, with the realistic treatment of ties.

The rank of the true tail t of a query among its candidates is the mean of the optimistic rank
(t before its ties) and the pessimistic one (t after them):

    rank = 1 + #{c: z_c > z_t} + #{c != t: z_c = z_t} / 2

where c runs over all entities but the other known answers (the filtered setting of Bordes et al.,
NeurIPS 2013; the name "realistic" is that of Berrendorf et al., arXiv 2002.06914).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

MAX_CHUNK_ELEMENTS = 1 << 24
"""Largest number of comparisons held at once."""


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
        rows: Query of each true tail, shape: (P,), dtype: long.
        tails: The true tails, shape: (P,), dtype: long.
        known_rows: Query of each known answer, shape: (K,), dtype: long.
        known_tails: The known answers, the true tails among them or not, each (row, tail) at most
            once, shape: (K,), dtype: long.

    Returns:
        Ranks on the CPU, in the order of `tails`.
    """
    targets = scores[rows, tails]
    filtered = scores.clone()
    filtered[known_rows, known_tails] = -torch.inf
    filtered[rows, tails] = -torch.inf
    excluded = torch.isneginf(filtered).sum(dim=1)
    rank = torch.empty(len(rows), dtype=torch.float64)
    step = max(1, MAX_CHUNK_ELEMENTS // scores.shape[1])
    for start in range(0, len(rows), step):
        chunk = slice(start, start + step)
        others = filtered[rows[chunk]]
        target = targets[chunk].unsqueeze(1)
        greater = (others > target).sum(dim=1)
        equal = (others == target).sum(dim=1)
        rank[chunk] = (1 + greater + equal / 2).double().cpu()
    return Ranks(rank=rank, num_candidates=(scores.shape[1] - excluded[rows] + 1).cpu())
