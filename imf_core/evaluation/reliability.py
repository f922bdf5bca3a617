"""Reliability of probabilities: are 70 % of the answers with probability 0.7 right?

The expected calibration error is the mean distance between probability and share of true answers
over bins of probability, weighted by the bins' answers (Guo et al., ICML 2017, arXiv 1706.04599).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

NUM_BINS = 10


def reliability_rows(
    kind: str, probability: NDArray[np.float64], is_true: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Compares probability and truth in bins of equal width.

    Args:
        kind: Name of these probabilities.
        probability: In [0, 1], shape: (P,).
        is_true: shape: (P,).

    Returns:
        One row per non-empty bin: `probability` (the kind), the bounds `from` and `to`, `answers`
        (their number), `mean_probability`, `share_true`.
    """
    position = _bins(probability)
    rows = []
    for number in np.unique(position):
        mask = position == number
        rows.append(
            {
                "probability": kind,
                "from": float(number / NUM_BINS),
                "to": float((number + 1) / NUM_BINS),
                "answers": int(mask.sum()),
                "mean_probability": float(probability[mask].mean()),
                "share_true": float(is_true[mask].mean()),
            }
        )
    return rows


def calibration_error(probability: NDArray[np.float64], is_true: NDArray[np.bool_]) -> float:
    """Returns the expected calibration error.

    Args:
        probability: In [0, 1], at least one, shape: (P,).
        is_true: shape: (P,).
    """
    gaps = np.bincount(_bins(probability), probability - is_true, minlength=NUM_BINS)
    return float(np.abs(gaps).sum() / len(probability))


def brier_score(probability: NDArray[np.float64], is_true: NDArray[np.bool_]) -> float:
    """Returns the mean squared difference between probability and truth.

    Unlike the calibration error, it also rewards separating right answers from wrong ones: giving
    every answer the overall share of true answers has no calibration error, but a bad Brier score
    (Brier, Monthly Weather Review 1950, 78(1)).

    Args:
        probability: In [0, 1], at least one, shape: (P,).
        is_true: shape: (P,).
    """
    return float(np.square(probability - is_true).mean())


def _bins(probability: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns the bin of each probability; one is in the last bin."""
    return np.minimum((probability * NUM_BINS).astype(np.int64), NUM_BINS - 1)
