"""Counts of overlaps and leaks, against a count by hand."""

import numpy as np

from imf_core.prepare.redundancy import (
    Redundancy,
    count_copies,
    count_leaks,
    count_linked_pairs,
    count_overlaps,
    count_unseen,
)

FACTS = {
    "train": np.array([[0, 0, 1], [1, 1, 2], [2, 0, 3]]),
    "valid": np.array([[0, 0, 1], [3, 1, 2], [0, 0, 4], [3, 0, 0]]),
    "test": np.array([[1, 1, 2], [0, 0, 4], [1, 0, 0], [2, 2, 5]]),
}

# Relation 0 is symmetric, and 1 is its duplicate.
REDUNDANCY = Redundancy(
    is_symmetric=np.array([True, False, False]),
    inverse=np.empty((0, 2), dtype=np.int64),
    duplicate=np.array([[0, 1]]),
)


def test_overlaps_are_counted_in_lines() -> None:
    assert count_overlaps(FACTS, num_entities=6, num_relations=3) == {
        "valid_in_train": 1,
        "valid_in_test_only": 1,
        "valid_new": 2,
        "test_in_train": 1,
    }


def test_absent_splits_leak_nothing() -> None:
    train = {"train": FACTS["train"]}
    assert set(count_leaks(train, REDUNDANCY, num_entities=6, num_relations=3).values()) == {0}


def test_copies_are_counted_by_the_way_and_once_in_all() -> None:
    assert count_copies(FACTS, REDUNDANCY, num_entities=6, num_relations=3) == {
        "valid_symmetric_copies": 0,
        "valid_inverse_copies": 0,
        "valid_duplicate_copies": 0,
        "valid_given_away": 1,
        "test_symmetric_copies": 1,
        "test_inverse_copies": 0,
        "test_duplicate_copies": 0,
        "test_given_away": 2,
    }


def test_all_leaks_together_are_those_of_each_count() -> None:
    assert count_leaks(FACTS, REDUNDANCY, num_entities=6, num_relations=3) == {
        **count_overlaps(FACTS, num_entities=6, num_relations=3),
        **count_copies(FACTS, REDUNDANCY, num_entities=6, num_relations=3),
        **count_linked_pairs(FACTS, num_entities=6),
        **count_unseen(FACTS),
    }


def test_a_pair_counts_as_linked_in_either_direction_and_by_any_relation() -> None:
    assert count_linked_pairs(FACTS, num_entities=6) == {
        "valid_pairs_linked_in_train": 2,
        "test_pairs_linked_in_train": 2,
    }


def test_unseen_entities_and_relations_are_counted_once_each() -> None:
    assert count_unseen(FACTS) == {
        "valid_entities_unseen_in_train": 1,
        "valid_relations_unseen_in_train": 0,
        "test_entities_unseen_in_train": 2,
        "test_relations_unseen_in_train": 1,
    }
