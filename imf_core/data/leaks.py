"""Counts facts in more than one split, and held-out entities and relations without train facts.

In: the facts of the splits; an absent split is empty. Out: counts for the data summary. An overlap
is counted in lines of the first-named split. A copy is a fact that train gives away by a redundant
relation (`copies`). A linked pair is a fact whose entities are joined in train by any relation in
any direction, so that its answer may be read off there.
"""

from collections.abc import Mapping

import numpy as np

from imf_core.data.copies import find_copies
from imf_core.data.holdout import Facts, Mask, fact_keys, pair_keys
from imf_core.data.redundancy import Redundancy

HELD_OUT_SPLITS = ("valid", "test")


def is_among(facts: Facts, others: Facts, num_entities: int, num_relations: int) -> Mask:
    """Returns whether each fact is in `others`; shapes: (N, 3), (M, 3) -> (N,), dtype: bool."""
    keys = fact_keys(facts, num_entities, num_relations)
    return np.isin(keys, fact_keys(others, num_entities, num_relations))


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
    """Counts the facts of valid and test whose unordered pair of entities is linked in train."""
    train = pair_keys(facts["train"], num_entities)
    return {
        f"{split}_pairs_linked_in_train": int(
            np.isin(pair_keys(_facts_of(facts, split), num_entities), train).sum()
        )
        for split in HELD_OUT_SPLITS
    }


def count_unseen(facts: Mapping[str, Facts]) -> dict[str, int]:
    """Counts the distinct entities and relations of valid and test that are not in train."""
    counts = {}
    for split in HELD_OUT_SPLITS:
        for noun, columns in (("entities", [0, 2]), ("relations", [1])):
            unseen = np.setdiff1d(_facts_of(facts, split)[:, columns], facts["train"][:, columns])
            counts[f"{split}_{noun}_unseen_in_train"] = len(unseen)
    return counts


def _facts_of(facts: Mapping[str, Facts], split: str) -> Facts:
    """Returns the facts of a split, none if it is absent."""
    return facts.get(split, np.empty((0, 3), dtype=np.int64))
