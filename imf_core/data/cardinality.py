"""Counts the tails per head and the heads per tail of each relation.

In: facts. Out: the two means and the class of each relation, as in Bordes et al., "Translating
Embeddings for Modeling Multi-relational Data", NeurIPS 2013: a side is "1" if the mean is less than
1.5, else "n". A query for the side "n" has several right answers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imf_core.data.holdout import Facts, drop_duplicates

MANY = 1.5
CLASSES = ("1-1", "1-n", "n-1", "n-n")
"""Heads to tails: a relation is "1-n" if a head has many tails, and a tail one head."""
NO_CLASS = ""


@dataclass(frozen=True)
class Cardinality:
    """Means of every relation; 0 without facts.

    Attributes:
        tails_per_head: Mean over the heads of the relation, shape: (R,), dtype: float64.
        heads_per_tail: Mean over the tails of the relation, shape: (R,), dtype: float64.
        classes: One of `CLASSES` for each relation, "" without facts. Length R.
    """

    tails_per_head: NDArray[np.float64]
    heads_per_tail: NDArray[np.float64]
    classes: list[str]


def find_cardinality(facts: Facts, num_entities: int, num_relations: int) -> Cardinality:
    """Measures every relation.

    Args:
        facts: Facts, shape: (N, 3), dtype: int64; repeated ones count once.
        num_entities: E.
        num_relations: R.
    """
    facts = drop_duplicates(facts, num_entities, num_relations)
    sizes = np.bincount(facts[:, 1], minlength=num_relations)
    tails_per_head, heads_per_tail = (
        sizes / np.maximum(_count_distinct(facts, side, num_entities, num_relations), 1)
        for side in (0, 2)
    )
    classes = [
        f"{'n' if heads >= MANY else '1'}-{'n' if tails >= MANY else '1'}" if size else NO_CLASS
        for size, tails, heads in zip(sizes, tails_per_head, heads_per_tail, strict=True)
    ]
    return Cardinality(tails_per_head, heads_per_tail, classes)


def _count_distinct(
    facts: Facts, side: int, num_entities: int, num_relations: int
) -> NDArray[np.int64]:
    """Counts the distinct entities in a column of each relation's facts; shape: (R,)."""
    found = np.unique(facts[:, 1] * num_entities + facts[:, side])
    counts: NDArray[np.int64] = np.bincount(found // num_entities, minlength=num_relations)
    return counts
