"""What the full model gains over another row, with a bootstrap interval over the test facts.

A fact is asked for its tail and for its head; both are drawn together, since they are not two
independent questions. The interval says how much another test set of the same kind would change
the gain; how much another seed would, the seeds themselves show.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from recipes.rows import FULL, STRUCTURE, TWO_STRUCTURES
from recipes.store import Store

RESAMPLES = 2000
RESAMPLES_AT_ONCE = 50
CONFIDENCE = 0.95


def update_gains(store: Store, dataset: str) -> None:
    """Computes the gains of a data set anew, as far as there are measurements and their ranks."""
    seeds_of: dict[str, set[int]] = {FULL: set(), STRUCTURE: set(), TWO_STRUCTURES: set()}
    for measurement in store.load_all(dataset):
        seeds_of.get(measurement.row, set()).add(measurement.seed)
    gains = store.load_gain(dataset)
    for other in (STRUCTURE, TWO_STRUCTURES):
        seeds = sorted(seeds_of[FULL] & seeds_of[other])
        pairs = [
            (store.load_ranks(dataset, FULL, seed), store.load_ranks(dataset, other, seed))
            for seed in seeds
        ]
        differences = [
            of_fact(full, rest) for full, rest in pairs if full is not None and rest is not None
        ]
        if not seeds:
            gains.pop(other, None)
        elif len(differences) < len(seeds):
            print(
                f"{dataset}: the gain of {FULL} over {other} stays as it was, since the ranks of "
                "some of its seeds are not here; measure those with --again"
            )
        else:
            gains[other] = compute_gain(seeds, differences)
    if gains:
        store.save_gain(dataset, gains)


def of_fact(full: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns how much higher the mean reciprocal rank of each fact is, shape: (2N,) -> (N,)."""
    difference = full.astype(np.float64) - other
    by_fact: NDArray[np.float64] = difference.reshape(2, -1).mean(axis=0)
    return by_fact


def compute_gain(
    seeds: Sequence[int], differences: Sequence[NDArray[np.float64]]
) -> dict[str, Any]:
    """Returns the gain in MRR of each seed, and of all of them together, with their intervals.

    Args:
        seeds: One or more.
        differences: For each seed from `of_fact`, shape: (N,).
    """
    pooled = np.mean(differences, axis=0)
    return {
        "seeds": list(seeds),
        "by_seed": [_with_interval(each) for each in differences],
        "pooled": _with_interval(pooled),
    }


def _with_interval(difference: NDArray[np.float64]) -> dict[str, float]:
    """Returns a mean over facts and its interval."""
    interval = bootstrap(
        (difference,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=RESAMPLES_AT_ONCE,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return {
        "gain": float(difference.mean()),
        "low": float(interval.low),
        "high": float(interval.high),
    }
