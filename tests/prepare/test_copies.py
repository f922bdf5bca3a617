"""Facts that train gives away, by hand and against a plain loop."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from imf_core.graph.labels import Facts
from imf_core.prepare.redundancy import Copies, Redundancy, find_copies

ENTITIES, RELATIONS = 5, 6

# Relation 0 is symmetric, 1 and 2 are inverse, 3 has the duplicates 4 and 5.
REDUNDANCY = Redundancy(
    is_symmetric=np.array([True, False, False, False, False, False]),
    inverse=np.array([[1, 2]]),
    duplicate=np.array([[3, 4], [3, 5]]),
)

some_facts = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, RELATIONS - 1), st.integers(0, 4)), max_size=30
)


def facts_of(rows: list[tuple[int, int, int]]) -> Facts:
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def find(rows: list[tuple[int, int, int]], train: list[tuple[int, int, int]]) -> Copies:
    return find_copies(facts_of(rows), facts_of(train), REDUNDANCY, ENTITIES, RELATIONS)


def test_a_fact_of_train_is_given_away_word_for_word() -> None:
    copies = find([(0, 3, 1), (1, 3, 0)], train=[(0, 3, 1)])
    assert copies.verbatim.tolist() == [True, False]
    assert copies.given_away.tolist() == [True, False]


def test_the_reverse_gives_away_under_a_symmetric_relation_alone() -> None:
    copies = find([(0, 0, 1), (0, 3, 1)], train=[(1, 0, 0), (1, 3, 0)])
    assert copies.symmetric.tolist() == [True, False]
    assert copies.given_away.tolist() == [True, False]


def test_the_reverse_gives_away_under_the_inverse_relation_in_both_roles() -> None:
    train = [(1, 2, 0), (3, 1, 2), (4, 2, 3)]
    copies = find([(0, 1, 1), (2, 2, 3), (4, 1, 3)], train)
    assert copies.inverse.tolist() == [True, True, False]


def test_the_pair_gives_away_under_any_duplicate_in_the_same_direction() -> None:
    train = [(0, 5, 1), (1, 4, 2), (3, 3, 2), (3, 0, 4)]
    copies = find([(0, 3, 1), (2, 3, 1), (3, 5, 2), (3, 4, 4), (0, 4, 1)], train)
    assert copies.duplicate.tolist() == [True, False, True, False, False]


def test_a_loop_is_no_symmetric_copy_of_itself() -> None:
    copies = find([(2, 0, 2)], train=[(2, 0, 2)])
    assert (copies.verbatim.tolist(), copies.symmetric.tolist()) == ([True], [False])


def test_nothing_is_given_away_of_no_facts_or_by_no_train() -> None:
    assert find([], train=[(0, 0, 1)]).given_away.tolist() == []
    assert find([(0, 0, 1)], train=[]).given_away.tolist() == [False]


@given(some_facts, some_facts)
def test_the_masks_are_those_of_a_plain_loop(
    rows: list[tuple[int, int, int]], train: list[tuple[int, int, int]]
) -> None:
    inverse = {1: [2], 2: [1]}
    duplicate = {3: [4, 5], 4: [3], 5: [3]}
    copies = find(rows, train)
    for position, (head, relation, tail) in enumerate(rows):
        assert copies.verbatim[position] == ((head, relation, tail) in train)
        assert copies.symmetric[position] == (
            relation == 0 and head != tail and (tail, 0, head) in train
        )
        assert copies.inverse[position] == any(
            (tail, other, head) in train for other in inverse.get(relation, [])
        )
        assert copies.duplicate[position] == any(
            (head, other, tail) in train for other in duplicate.get(relation, [])
        )
