"""Cardinality of relations, by hand and against a plain loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imf_core.prepare.facts import CLASSES, find_cardinality


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(0, 0, 1), (2, 0, 3)], "1-1"),
        ([(0, 0, 1), (0, 0, 2), (0, 0, 3)], "1-n"),
        ([(1, 0, 0), (2, 0, 0), (3, 0, 0)], "n-1"),
        ([(0, 0, 2), (0, 0, 3), (1, 0, 2), (1, 0, 3)], "n-n"),
    ],
)
def test_each_class_is_recognised(rows: list[tuple[int, int, int]], expected: str) -> None:
    assert expected in CLASSES
    assert find_cardinality(np.array(rows), 4, 1).classes == [expected]


@pytest.mark.parametrize(("further_tails", "expected"), [(1, "1-1"), (2, "1-n")])
def test_a_mean_of_one_and_a_half_is_many(further_tails: int, expected: str) -> None:
    rows = [(head, 0, 10 + head) for head in range(4)]
    rows += [(head, 0, 20 + head) for head in range(further_tails)]
    found = find_cardinality(np.array(rows), 30, 1)
    assert found.tails_per_head[0] == (4 + further_tails) / 4
    assert found.classes == [expected]


def test_a_repeated_fact_counts_once() -> None:
    found = find_cardinality(np.array([(0, 0, 1)] * 3), 2, 1)
    assert (found.tails_per_head[0], found.heads_per_tail[0]) == (1, 1)


def test_a_relation_without_a_fact_has_no_class() -> None:
    found = find_cardinality(np.array([(0, 1, 1)]), 2, 3)
    assert found.classes == ["", "1-1", ""]
    assert found.tails_per_head.tolist() == [0, 1, 0]


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=50
    )
)
def test_the_means_are_those_of_a_plain_loop(rows: list[tuple[int, int, int]]) -> None:
    found = find_cardinality(np.array(rows), 5, 3)
    for relation in range(3):
        own = {(head, tail) for head, asked, tail in rows if asked == relation}
        heads, tails = {head for head, _ in own}, {tail for _, tail in own}
        assert found.tails_per_head[relation] == (len(own) / len(heads) if own else 0)
        assert found.heads_per_tail[relation] == (len(own) / len(tails) if own else 0)
