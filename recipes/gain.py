"""Gains of the full model over other rows; `imf_core.evaluation.gain` computes the interval."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imf_core.evaluation.gain import average_by_fact, estimate_gain
from recipes.rows import FULL, STRUCTURE, TWO_STRUCTURES
from recipes.store import Measurement, Store

TOLERANCE = 1e-5
"""Largest difference between a gain and two MRRs, which are stored with six digits."""


def update_gains(store: Store, dataset: str) -> None:
    """Updates the gains of a data set from its measurements and their ranks.

    A gain without ranks on this disk is kept if it still matches the stored measurements.
    """
    measurements = store.load_all(dataset)
    gains = load_current_gains(store, dataset)
    for other in (STRUCTURE, TWO_STRUCTURES):
        seeds = sorted(_mrr_by_seed(FULL, measurements).keys() & _mrr_by_seed(other, measurements))
        pairs = [
            (store.load_ranks(dataset, FULL, seed), store.load_ranks(dataset, other, seed))
            for seed in seeds
        ]
        differences = [
            of_fact(full, rest) for full, rest in pairs if full is not None and rest is not None
        ]
        if len(differences) < len(seeds):
            print(
                f"{dataset}: the gain of {FULL} over {other} "
                f"{'is kept' if other in gains else 'is left out'}, since the ranks of some of its "
                "seeds are not on this disk; measure those with --again"
            )
        elif seeds:
            gains[other] = compute_gain(seeds, differences)
    store.save_gain(dataset, gains)


def load_current_gains(store: Store, dataset: str) -> dict[str, Any]:
    """Reads the gains of a data set that match the stored measurements.

    Returns:
        Results of `compute_gain`, by the row that `full` is compared with.
    """
    measurements = store.load_all(dataset)
    return {
        other: gain
        for other, gain in store.load_gain(dataset).items()
        if is_gain_of(gain, other, measurements)
    }


def is_gain_of(gain: Mapping[str, Any], other: str, measurements: Sequence[Measurement]) -> bool:
    """Returns whether a gain equals the difference of MRRs, for every seed.

    Args:
        gain: From `compute_gain`.
        other: The row that `full` is compared with.
        measurements: All measurements of the data set.
    """
    full, rest = _mrr_by_seed(FULL, measurements), _mrr_by_seed(other, measurements)
    return all(
        seed in full and seed in rest and abs(full[seed] - rest[seed] - each["gain"]) <= TOLERANCE
        for seed, each in zip(gain["seeds"], gain["by_seed"], strict=True)
    )


def _mrr_by_seed(row: str, measurements: Sequence[Measurement]) -> dict[int, float]:
    """Returns the MRR on test of a row, by seed."""
    return {each.seed: each.test["mrr"] for each in measurements if each.row == row}


def of_fact(full: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns the difference in mean reciprocal rank of each fact, shape: (2N,) -> (N,)."""
    return average_by_fact(full.astype(np.float64) - other)


def compute_gain(
    seeds: Sequence[int], differences: Sequence[NDArray[np.float64]]
) -> dict[str, Any]:
    """Returns the gain in MRR, by seed and pooled, with intervals.

    Args:
        seeds: At least one.
        differences: From `of_fact`, for each seed, shape: (N,).
    """
    pooled = np.mean(differences, axis=0)
    return {
        "seeds": list(seeds),
        "by_seed": [asdict(estimate_gain(each)) for each in differences],
        "pooled": asdict(estimate_gain(pooled)),
    }
