"""Gain of one model over another on the same facts, with a bootstrap interval.

The tail query and the head query of a fact are resampled together, since they are not independent.
The interval measures the variation between test sets of the same kind, not between seeds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

RESAMPLES = 2000
RESAMPLES_AT_ONCE = 50
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Gain:
    """A mean over facts and its 95 % interval."""

    gain: float
    low: float
    high: float


def average_by_fact(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Averages a value per query over the two queries of each fact.

    Args:
        differences: Values of all tail queries, then of all head queries, shape: (2N,).

    Returns:
        shape: (N,).
    """
    by_fact: NDArray[np.float64] = differences.reshape(2, -1).mean(axis=0)
    return by_fact


def estimate_gain(differences: NDArray[np.float64]) -> Gain:
    """Returns the mean over facts and its interval; deterministic.

    Args:
        differences: Value of each fact, shape: (N,); for fewer than two facts both bounds are the
            mean.
    """
    mean = float(differences.mean())
    if len(differences) < 2:
        return Gain(mean, mean, mean)
    interval = bootstrap(
        (differences,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=RESAMPLES_AT_ONCE,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Gain(mean, float(interval.low), float(interval.high))
