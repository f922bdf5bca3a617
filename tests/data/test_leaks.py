"""Counts of overlaps and leaks, against a count by hand."""

import numpy as np

from imf_core.data.leaks import count_linked_pairs, count_overlaps, count_unseen

FACTS = {
    "train": np.array([[0, 0, 1], [1, 1, 2], [2, 0, 3]]),
    "valid": np.array([[0, 0, 1], [3, 1, 2], [0, 0, 4], [3, 0, 0]]),
    "test": np.array([[1, 1, 2], [0, 0, 4], [1, 0, 0], [2, 2, 5]]),
}


def test_overlaps_are_counted_in_lines() -> None:
    assert count_overlaps(FACTS, num_entities=6, num_relations=3) == {
        "valid_in_train": 1,
        "valid_in_test_only": 1,
        "valid_new": 2,
        "test_in_train": 1,
    }


def test_absent_splits_overlap_nothing() -> None:
    counts = count_overlaps({"train": FACTS["train"]}, num_entities=6, num_relations=3)
    assert set(counts.values()) == {0}


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
