"""Symmetric, inverse and duplicate relations, by hand and against a plain loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imf_core.graph.labels import Facts
from imf_core.prepare import redundancy as module
from imf_core.prepare.redundancy import Redundancy, find_redundancy

ENTITIES, RELATIONS = 20, 4

some_facts = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, RELATIONS - 1), st.integers(0, 3)), max_size=60
)


def find(rows: list[tuple[int, int, int]]) -> Redundancy:
    return find_redundancy(facts_of(rows), ENTITIES, RELATIONS)


def facts_of(rows: list[tuple[int, int, int]]) -> Facts:
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def chain(relation: int, start: int, stop: int) -> list[tuple[int, int, int]]:
    """Facts from each entity to the next."""
    return [(entity, relation, entity + 1) for entity in range(start, stop)]


def reverse(rows: list[tuple[int, int, int]], relation: int) -> list[tuple[int, int, int]]:
    return [(tail, relation, head) for head, _, tail in rows]


def naive_redundancy(rows: list[tuple[int, int, int]]) -> Redundancy:
    """Compares every relation with every other, pair of entities by pair."""
    pairs: list[set[tuple[int, int]]] = [
        {(head, tail) for head, found, tail in rows if found == relation}
        for relation in range(RELATIONS)
    ]
    apart = [{(head, tail) for head, tail in own if head != tail} for own in pairs]
    turned = [{(tail, head) for head, tail in own} for own in apart]

    def is_most_of_each(one: set[tuple[int, int]], other: set[tuple[int, int]]) -> bool:
        return bool(one & other) and 5 * len(one & other) > 4 * max(len(one), len(other))

    couples = [(low, high) for low in range(RELATIONS) for high in range(low + 1, RELATIONS)]
    return Redundancy(
        np.array([is_most_of_each(apart[r], turned[r]) for r in range(RELATIONS)]),
        np.array([c for c in couples if is_most_of_each(apart[c[0]], turned[c[1]])]).reshape(-1, 2),
        np.array([c for c in couples if is_most_of_each(pairs[c[0]], pairs[c[1]])]).reshape(-1, 2),
    )


def assert_same(one: Redundancy, other: Redundancy) -> None:
    np.testing.assert_array_equal(one.is_symmetric, other.is_symmetric)
    np.testing.assert_array_equal(one.inverse, other.inverse)
    np.testing.assert_array_equal(one.duplicate, other.duplicate)


def test_a_relation_whose_facts_stand_in_both_directions_is_symmetric() -> None:
    found = find([*chain(1, 0, 5), *reverse(chain(1, 0, 5), 1), *chain(2, 0, 5)])
    assert found.is_symmetric.tolist() == [False, True, False, False]


def test_a_relation_reversed_by_another_is_its_inverse() -> None:
    found = find([*chain(3, 0, 5), *reverse(chain(3, 0, 5), 1)])
    assert found.inverse.tolist() == [[1, 3]]
    assert not found.is_symmetric.any()
    assert found.duplicate.tolist() == []


def test_relations_of_the_same_pairs_in_the_same_direction_are_duplicates() -> None:
    found = find([*chain(0, 0, 5), *chain(2, 0, 5)])
    assert found.duplicate.tolist() == [[0, 2]]
    assert found.inverse.tolist() == []


def test_three_duplicates_are_three_pairs() -> None:
    found = find([*chain(0, 0, 5), *chain(2, 0, 5), *chain(3, 0, 5)])
    assert found.duplicate.tolist() == [[0, 2], [0, 3], [2, 3]]


@pytest.mark.parametrize(("shared", "is_found"), [(8, False), (9, True)])
def test_more_than_four_fifths_of_the_pairs_must_be_shared(shared: int, is_found: bool) -> None:
    assert bool(len(find([*chain(0, 0, 10), *chain(1, 0, shared)]).duplicate)) == is_found
    reversed_part = reverse(chain(0, 0, shared), 1)
    assert bool(len(find([*chain(0, 0, 10), *reversed_part]).inverse)) == is_found


def test_all_pairs_of_a_small_relation_within_a_large_one_are_not_enough() -> None:
    assert find([*chain(0, 0, 10), *chain(1, 0, 3)]).duplicate.tolist() == []


def test_repeated_lines_count_once() -> None:
    found = find([*chain(0, 0, 5), *chain(1, 0, 2), *chain(1, 0, 2), *chain(1, 0, 2)])
    assert found.duplicate.tolist() == []


def test_loops_make_no_relation_symmetric_or_inverse_to_another() -> None:
    loops = [(entity, relation, entity) for entity in range(5) for relation in (0, 1)]
    found = find(loops)
    assert not found.is_symmetric.any()
    assert found.inverse.tolist() == []
    assert found.duplicate.tolist() == [[0, 1]]


def test_loops_keep_no_relation_from_being_symmetric() -> None:
    both = [*chain(1, 0, 2), *reverse(chain(1, 0, 2), 1)]
    assert find([*both, *((entity, 1, entity) for entity in range(10))]).is_symmetric[1]


def test_a_graph_without_facts_has_no_redundant_relation() -> None:
    found = find([])
    assert not found.is_symmetric.any()
    assert (found.inverse.shape, found.duplicate.shape) == ((0, 2), (0, 2))


@given(some_facts)
def test_counting_meetings_finds_what_a_plain_loop_finds(rows: list[tuple[int, int, int]]) -> None:
    assert_same(find(rows), naive_redundancy(rows))


@given(some_facts)
def test_the_order_of_facts_does_not_matter(rows: list[tuple[int, int, int]]) -> None:
    assert_same(find(rows), find(rows[::-1]))


def test_counting_in_parts_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    heads, tails, relations = rng.integers(6, size=(3, 400))
    facts = np.stack([heads, relations % RELATIONS, tails], axis=1)
    whole = find_redundancy(facts, ENTITIES, RELATIONS)
    monkeypatch.setattr(module, "_COMPARISONS_AT_ONCE", 1)
    assert_same(find_redundancy(facts, ENTITIES, RELATIONS), whole)
    assert whole.is_symmetric.any()
    assert len(whole.duplicate)
