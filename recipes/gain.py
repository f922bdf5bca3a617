"""What the full model gains over another row; see `imf_core.evaluation.gain` for the interval."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imf_core.evaluation.gain import average_by_fact, estimate_gain
from recipes.rows import FULL, STRUCTURE, TWO_STRUCTURES
from recipes.store import Measurement, Store

TOLERANCE = 1e-5
"""Between a gain and the difference of two MRRs, which are stored with six digits."""


def update_gains(store: Store, dataset: str) -> None:
    """Computes the gains of a data set anew, as far as there are measurements and their ranks.

    One whose ranks are elsewhere stays if it is still the gain of what is stored.
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
                f"{'stays as it was' if other in gains else 'is left out'}, since the ranks of "
                "some of its seeds are not here; measure those with --again"
            )
        elif seeds:
            gains[other] = compute_gain(seeds, differences)
    store.save_gain(dataset, gains)


def load_current_gains(store: Store, dataset: str) -> dict[str, Any]:
    """Reads the gains of a data set but for those of measurements that are no longer stored.

    Returns:
        From `compute_gain`, by the row that `full` is compared with.
    """
    measurements = store.load_all(dataset)
    return {
        other: gain
        for other, gain in store.load_gain(dataset).items()
        if is_gain_of(gain, other, measurements)
    }


def is_gain_of(gain: Mapping[str, Any], other: str, measurements: Sequence[Measurement]) -> bool:
    """Says whether a gain over another row is, seed by seed, what is between their MRRs.

    Args:
        gain: From `compute_gain`.
        other: The row that `full` is compared with.
        measurements: All of the data set.
    """
    full, rest = _mrr_by_seed(FULL, measurements), _mrr_by_seed(other, measurements)
    return all(
        seed in full and seed in rest and abs(full[seed] - rest[seed] - each["gain"]) <= TOLERANCE
        for seed, each in zip(gain["seeds"], gain["by_seed"], strict=True)
    )


def _mrr_by_seed(row: str, measurements: Sequence[Measurement]) -> dict[int, float]:
    """Returns the MRR on test of each seed that a row was measured with."""
    return {each.seed: each.test["mrr"] for each in measurements if each.row == row}


def of_fact(full: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns how much higher the mean reciprocal rank of each fact is, shape: (2N,) -> (N,)."""
    return average_by_fact(full.astype(np.float64) - other)


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
        "by_seed": [asdict(estimate_gain(each)) for each in differences],
        "pooled": asdict(estimate_gain(pooled)),
    }
