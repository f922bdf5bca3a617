"""What the full model gains over another row; see `imf_core.evaluation.gain` for the interval."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imf_core.evaluation.gain import average_by_fact, estimate_gain
from recipes.rows import FULL, STRUCTURE, TWO_STRUCTURES
from recipes.store import Store


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
