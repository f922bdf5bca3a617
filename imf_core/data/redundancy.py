"""Finds redundant relations: the facts of one give away the facts of another.

In: facts. Out: the symmetric relations, and the pairs of inverse and of duplicate relations. After
Akrami et al., "Realistic Re-evaluation of Knowledge Graph
Completion Methods", SIGMOD 2020, https://doi.org/10.1145/3318464.3380599: two relations are
redundant if they share more than 0.8 of the entity pairs of each. Shares are of distinct facts,
with no lower bound on their number, as there.

Our choice: a fact that joins an entity to itself is its own reverse, so it counts only for
duplicates.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imf_core.data.holdout import Facts, Mask, drop_duplicates, pair_keys

MIN_OVERLAP = 0.8
"""Relations that share more than this fraction of the pairs of each are redundant."""

RelationPairs = NDArray[np.int64]

# Comparisons of two facts that are counted together; bounds the memory.
_COMPARISONS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Redundancy:
    """The redundant relations.

    Attributes:
        is_symmetric: Whether most facts of a relation are in both directions, shape: (R,).
        inverse: Pairs of different relations that are each other's reverse, the lower id first, in
            ascending order; shape: (P, 2), dtype: int64.
        duplicate: Pairs of different relations that join the same entities in the same direction,
            likewise; shape: (Q, 2), dtype: int64.
    """

    is_symmetric: Mask
    inverse: RelationPairs
    duplicate: RelationPairs


def find_redundancy(facts: Facts, num_entities: int, num_relations: int) -> Redundancy:
    """Finds symmetric, inverse and duplicate relations.

    Args:
        facts: Facts, shape: (N, 3), dtype: int64; repeated ones count once.
        num_entities: E.
        num_relations: R.
    """
    facts = drop_duplicates(facts, num_entities, num_relations)
    is_loop = facts[:, 0] == facts[:, 2]
    sizes = np.bincount(facts[:, 1], minlength=num_relations)
    sizes_without_loops = np.bincount(facts[~is_loop, 1], minlength=num_relations)

    low, high, is_opposed, shared = _count_shared_pairs(facts, num_entities, num_relations)
    is_same = low == high
    # For a relation with itself, a shared pair of entities is two facts in opposite directions.
    is_symmetric = np.zeros(num_relations, dtype=bool)
    itself = low[is_same]
    is_symmetric[itself] = 2 * shared[is_same] / sizes_without_loops[itself] > MIN_OVERLAP

    found = {}
    for name, wanted, size in (
        ("inverse", is_opposed & ~is_same, sizes_without_loops),
        ("duplicate", ~is_opposed, sizes),
    ):
        larger = np.maximum(size[low[wanted]], size[high[wanted]])
        is_redundant = shared[wanted] / larger > MIN_OVERLAP
        found[name] = np.stack([low[wanted], high[wanted]], axis=1)[is_redundant]
    return Redundancy(is_symmetric, found["inverse"], found["duplicate"])


def _count_shared_pairs(
    facts: Facts, num_entities: int, num_relations: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Mask, NDArray[np.int64]]:
    """Counts the entity pairs that two relations share, in the same and in opposed directions.

    Sorting places the facts between an unordered pair of entities side by side. Each is compared
    with its next, second next, ... neighbour, so memory is linear in the facts, and work is linear
    in the comparisons, not in all pairs of relations.

    Args:
        facts: Distinct facts, shape: (N, 3), dtype: int64.
        num_entities: E.
        num_relations: R.

    Returns:
        The lower relation, the higher one (the same, for a relation and its own reverse), whether
        their directions are opposed, and the number of shared pairs, in ascending order of the
        first three; shape: (M,) each.
    """
    pairs = pair_keys(facts, num_entities)
    order = np.argsort(pairs, kind="stable")
    pairs, relations = pairs[order], facts[order, 1]
    is_backward = (facts[:, 0] > facts[:, 2])[order]
    keys, counts = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    waiting: list[NDArray[np.int64]] = []
    earlier, step = np.arange(len(facts)), 0
    while len(earlier):
        step += 1
        earlier = earlier[earlier + step < len(facts)]
        earlier = earlier[pairs[earlier] == pairs[earlier + step]]
        one, other = relations[earlier], relations[earlier + step]
        is_opposed = is_backward[earlier] != is_backward[earlier + step]
        low, high = np.minimum(one, other), np.maximum(one, other)
        waiting.append((low * num_relations + high) * 2 + is_opposed)
        if not len(earlier) or sum(map(len, waiting)) > _COMPARISONS_AT_ONCE:
            keys, counts = _add_counts(keys, counts, np.concatenate(waiting))
            waiting = []
    return keys // 2 // num_relations, keys // 2 % num_relations, keys % 2 == 1, counts


def _add_counts(
    keys: NDArray[np.int64], counts: NDArray[np.int64], more: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Adds one to the count of each of `more`; keys stay distinct and ascending."""
    new, new_counts = np.unique(more, return_counts=True)
    together, place = np.unique(np.concatenate([keys, new]), return_inverse=True)
    total = np.zeros(len(together), dtype=np.int64)
    total[place[: len(keys)]] += counts
    total[place[len(keys) :]] += new_counts
    return together, total
