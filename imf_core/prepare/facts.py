"""Facts as ids: which of them to hold out of train, and the cardinality of relations.

Facts are held out by groups, as a rule all facts between an unordered pair of entities, so that a
symmetric relation, an inverse or a second relation of a pair is in the same split. To resemble a
test that was drawn fact by fact, a group is one fact. A relation's side is "1" if its mean number
of entities is below 1.5, else "n" (Bordes et al., "Translating Embeddings for Modeling
Multi-relational Data", NeurIPS 2013).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imf_core.graph.labels import Facts, Mask, fact_keys

MIN_RELATION_FACTS = 5


def pair_keys(facts: Facts, num_entities: int) -> NDArray[np.int64]:
    """Numbers the unordered pair {head, tail} of each fact; shape: (N, 3) -> (N,)."""
    low = np.minimum(facts[:, 0], facts[:, 2])
    high = np.maximum(facts[:, 0], facts[:, 2])
    keys: NDArray[np.int64] = low * num_entities + high
    return keys


def count_distinct_ids(ids: NDArray[np.int64]) -> int:
    """Counts the different ids in an array of any shape."""
    return int(np.count_nonzero(np.bincount(ids.ravel())))


def drop_duplicates(facts: Facts, num_entities: int, num_relations: int) -> Facts:
    """Returns each fact once, in the order of first occurrence; shape: (N, 3) -> (M, 3)."""
    _, first = np.unique(fact_keys(facts, num_entities, num_relations), return_index=True)
    return facts[np.sort(first)]


def hold_out(
    facts: Facts,
    wanted: int,
    num_entities: int,
    num_relations: int,
    seed: int,
    keep: Mask,
    *,
    whole_pairs: bool = True,
) -> Mask:
    """Chooses facts to hold out, group by group in random order, until enough are chosen.

    A group is held out only if its entities and relations still occur in the remaining facts, each
    of its relations has at least five facts, and none of its facts is in `keep`. The choice does
    not depend on the order of the facts.

    Args:
        facts: Distinct facts, shape: (N, 3), dtype: int64.
        wanted: Number of facts to hold out. The last group may exceed it; fewer are held out
            if the rule allows no more.
        num_entities: E, bound of the entity ids.
        num_relations: R, bound of the relation ids.
        seed: Seed of the order.
        keep: Facts that must stay, shape: (N,), dtype: bool.
        whole_pairs: Whether a group is all facts between a pair of entities, or one fact.

    Returns:
        Whether each fact is held out, shape: (N,), dtype: bool.
    """
    unit = (
        pair_keys(facts, num_entities)
        if whole_pairs
        else fact_keys(facts, num_entities, num_relations)
    )
    keys, group_of, sizes = np.unique(unit, return_inverse=True, return_counts=True)
    members = np.argsort(group_of, kind="stable")
    ends = np.cumsum(sizes)
    relation_facts = np.bincount(facts[:, 1], minlength=num_relations)
    stays = keep | (relation_facts[facts[:, 1]] < MIN_RELATION_FACTS)
    is_bound = np.bincount(group_of, weights=stays, minlength=len(keys)) > 0

    # Python lists: numpy is slow for single numbers in a loop.
    order = np.argsort(np.random.default_rng(seed).random(len(keys)), kind="stable").tolist()
    first = members[ends - sizes]
    lows, highs = facts[first][:, [0, 2]].T.tolist()
    relations = facts[members, 1].tolist()
    degree = np.bincount(facts[:, [0, 2]].ravel(), minlength=num_entities).tolist()
    left = relation_facts.tolist()
    is_held = np.zeros(len(keys), dtype=bool)
    held = 0
    for group in order:
        if held >= wanted:
            break
        end, size = int(ends[group]), int(sizes[group])
        group_relations = relations[end - size : end]
        low, high = lows[group], highs[group]
        leaves_entities = degree[low] > size * (1 + (low == high)) and degree[high] > size
        leaves_relations = all(left[r] > group_relations.count(r) for r in group_relations)
        if is_bound[group] or not leaves_entities or not leaves_relations:
            continue
        is_held[group] = True
        held += size
        degree[low] -= size
        degree[high] -= size
        for relation in group_relations:
            left[relation] -= 1
    chosen: Mask = is_held[group_of]
    return chosen


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
    found = np.sort(facts[:, 1] * num_entities + facts[:, side])
    is_new = np.diff(found, prepend=-1) > 0
    counts: NDArray[np.int64] = np.bincount(found[is_new] // num_entities, minlength=num_relations)
    return counts
