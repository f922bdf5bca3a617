"""Ranking metrics."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def rank_metrics(
    rank: NDArray[np.float64], num_candidates: NDArray[np.int64]
) -> Mapping[str, float]:
    """Computes the metrics of some ranks.

    Args:
        rank: Realistic ranks, at least one, shape: (P,).
        num_candidates: Size of each ranking, shape: (P,).

    Returns:
        `mrr`, `hits_at_1`, `hits_at_3`, `hits_at_10` as fractions in [0, 1], `mean_rank`, and
        `adjusted_mean_rank_index`: 1 is perfect, 0 the expectation of random scores (Berrendorf et
        al., arXiv 2002.06914).
    """
    expected = (num_candidates + 1).mean() / 2
    adjusted = 1 - (rank.mean() - 1) / (expected - 1) if expected > 1 else 1.0
    return {
        "mrr": float((1 / rank).mean()),
        "hits_at_1": float((rank <= 1).mean()),
        "hits_at_3": float((rank <= 3).mean()),
        "hits_at_10": float((rank <= 10).mean()),
        "mean_rank": float(rank.mean()),
        "adjusted_mean_rank_index": float(adjusted),
    }
