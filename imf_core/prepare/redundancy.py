"""Finds redundant relations, facts that train gives away through them, and leaks of splits.

Two relations are redundant if more than 0.8 of the entity pairs of each are those of the other
(Akrami et al., "Realistic Re-evaluation of Knowledge Graph Completion Methods", SIGMOD 2020,
https://doi.org/10.1145/3318464.3380599). Shares are of distinct facts, without a lower bound on
their number, as there. Our choice: a fact that joins an entity to itself is its own reverse, so it
counts for duplicates alone. An overlap is counted in lines of the first-named split.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imf_core.graph.labels import Facts, Mask, fact_keys, is_in
from imf_core.prepare.facts import count_distinct_ids, drop_duplicates, pair_keys

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
            in the same order; shape: (Q, 2), dtype: int64.
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


@dataclass(frozen=True)
class Copies:
    """Masks of the facts that train gives away, shape: (N,) each; a fact may be in several.

    Attributes:
        verbatim: Train has the fact itself.
        symmetric: Train has its reverse under the same relation, which is symmetric.
        inverse: Train has its reverse under an inverse relation.
        duplicate: Train has its pair of entities, in the same direction, under a duplicate one.
    """

    verbatim: Mask
    symmetric: Mask
    inverse: Mask
    duplicate: Mask

    @property
    def given_away(self) -> Mask:
        """Union of all masks; shape: (N,)."""
        return self.verbatim | self.symmetric | self.inverse | self.duplicate


def find_copies(
    facts: Facts, train: Facts, redundancy: Redundancy, num_entities: int, num_relations: int
) -> Copies:
    """Finds the facts that train gives away.

    Args:
        facts: Facts of another split, shape: (N, 3), dtype: int64.
        train: Facts of train, shape: (M, 3), dtype: int64.
        redundancy: The redundant relations.
        num_entities: E.
        num_relations: R.
    """
    train_keys = fact_keys(train, num_entities, num_relations)

    def is_in_train(asked: Facts) -> Mask:
        return is_in(fact_keys(asked, num_entities, num_relations), train_keys)

    def has_partner_fact(asked: Facts, pairs: NDArray[np.int64]) -> Mask:
        """Returns whether train has the fact under a partner of its relation in `pairs`."""
        partners = np.concatenate([pairs, pairs[:, ::-1]])
        partners = partners[np.argsort(partners[:, 0], kind="stable")]
        start = np.searchsorted(partners[:, 0], asked[:, 1], side="left")
        number = np.searchsorted(partners[:, 0], asked[:, 1], side="right") - start
        # Row i of `asked` once for each partner of its relation, numbered 0, 1, ... within i.
        row = np.repeat(np.arange(len(asked)), number)
        within = np.arange(len(row)) - np.repeat(np.cumsum(number) - number, number)
        tried = asked[row]
        tried[:, 1] = partners[start[row] + within, 1]
        found: Mask = np.bincount(row[is_in_train(tried)], minlength=len(asked)) > 0
        return found

    reverse = facts[:, ::-1]
    is_loop = facts[:, 0] == facts[:, 2]
    return Copies(
        verbatim=is_in_train(facts),
        symmetric=redundancy.is_symmetric[facts[:, 1]] & ~is_loop & is_in_train(reverse),
        inverse=has_partner_fact(reverse, redundancy.inverse),
        duplicate=has_partner_fact(facts, redundancy.duplicate),
    )


HELD_OUT_SPLITS = ("valid", "test")


def is_among(facts: Facts, others: Facts, num_entities: int, num_relations: int) -> Mask:
    """Returns whether each fact is in `others`; shapes: (N, 3), (M, 3) -> (N,), dtype: bool."""
    keys = fact_keys(facts, num_entities, num_relations)
    return is_in(keys, fact_keys(others, num_entities, num_relations))


def count_leaks(
    facts: Mapping[str, Facts], redundancy: Redundancy, num_entities: int, num_relations: int
) -> dict[str, int]:
    """Counts all dependencies between train, valid and test.

    Args:
        facts: Split name -> facts, shape: (N, 3).
        redundancy: The redundant relations.
        num_entities: E.
        num_relations: R.
    """
    return {
        **count_overlaps(facts, num_entities, num_relations),
        **count_copies(facts, redundancy, num_entities, num_relations),
        **count_linked_pairs(facts, num_entities),
        **count_unseen(facts),
    }


def count_overlaps(
    facts: Mapping[str, Facts], num_entities: int, num_relations: int
) -> dict[str, int]:
    """Counts the lines of valid and test that are also in another split.

    Args:
        facts: Split name -> facts, shape: (N, 3).
        num_entities: E.
        num_relations: R.

    Returns:
        `valid_in_train`, `valid_in_test_only` (not in train), `valid_new` (in neither) and
        `test_in_train`.
    """
    train, valid, test = (_facts_of(facts, split) for split in ("train", "valid", "test"))
    in_train = is_among(valid, train, num_entities, num_relations)
    in_test = is_among(valid, test, num_entities, num_relations)
    return {
        "valid_in_train": int(in_train.sum()),
        "valid_in_test_only": int((in_test & ~in_train).sum()),
        "valid_new": int((~in_train & ~in_test).sum()),
        "test_in_train": int(is_among(test, train, num_entities, num_relations).sum()),
    }


def count_copies(
    facts: Mapping[str, Facts], redundancy: Redundancy, num_entities: int, num_relations: int
) -> dict[str, int]:
    """Counts the facts of valid and test that train gives away, by kind and in total.

    Returns:
        For both splits `_symmetric_copies`, `_inverse_copies`, `_duplicate_copies`, which may
        share facts, and `_given_away`: facts that are in train word for word or are any of these,
        each counted once.
    """
    counts = {}
    for split in HELD_OUT_SPLITS:
        copies = find_copies(
            _facts_of(facts, split), facts["train"], redundancy, num_entities, num_relations
        )
        counts[f"{split}_symmetric_copies"] = int(copies.symmetric.sum())
        counts[f"{split}_inverse_copies"] = int(copies.inverse.sum())
        counts[f"{split}_duplicate_copies"] = int(copies.duplicate.sum())
        counts[f"{split}_given_away"] = int(copies.given_away.sum())
    return counts


def count_linked_pairs(facts: Mapping[str, Facts], num_entities: int) -> dict[str, int]:
    """Counts the facts of valid and test with an unordered pair of entities that train links."""
    train = pair_keys(facts["train"], num_entities)
    return {
        f"{split}_pairs_linked_in_train": int(
            is_in(pair_keys(_facts_of(facts, split), num_entities), train).sum()
        )
        for split in HELD_OUT_SPLITS
    }


def count_unseen(facts: Mapping[str, Facts]) -> dict[str, int]:
    """Counts the distinct entities and relations of valid and test that are not in train."""
    counts = {}
    for split in HELD_OUT_SPLITS:
        for noun, columns in (("entities", [0, 2]), ("relations", [1])):
            asked = _facts_of(facts, split)[:, columns].ravel()
            unseen = asked[~is_in(asked, facts["train"][:, columns].ravel())]
            counts[f"{split}_{noun}_unseen_in_train"] = count_distinct_ids(unseen)
    return counts


def _facts_of(facts: Mapping[str, Facts], split: str) -> Facts:
    """Returns the facts of a split, none if it is absent."""
    return facts.get(split, np.empty((0, 3), dtype=np.int64))
