"""Holding facts out of train, checked against the rule on random graphs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imf_core.graph.labels import Facts, Mask, fact_keys
from imf_core.prepare.facts import MIN_RELATION_FACTS, hold_out, pair_keys

ENTITIES, RELATIONS = 12, 4


def random_facts(seed: int, count: int = 120) -> Facts:
    rng = np.random.default_rng(seed)
    columns = [rng.integers(bound, size=count) for bound in (ENTITIES, RELATIONS, ENTITIES)]
    return np.unique(np.stack(columns, axis=1), axis=0)


def held(facts: Facts, wanted: int = 15, seed: int = 0, keep: Mask | None = None) -> Mask:
    keep = np.zeros(len(facts), dtype=bool) if keep is None else keep
    return hold_out(facts, wanted, ENTITIES, RELATIONS, seed, keep)


small_graphs = arrays(
    np.int64,
    st.tuples(st.integers(1, 60), st.just(3)),
    elements=st.integers(0, min(ENTITIES, RELATIONS) - 1),
)


@given(small_graphs, st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_no_pair_is_split_and_nothing_vanishes_from_train(lines: Facts, seed: int) -> None:
    facts = np.unique(lines, axis=0)
    chosen = held(facts, seed=seed)
    stays, leaves = facts[~chosen], facts[chosen]
    assert not np.isin(pair_keys(leaves, ENTITIES), pair_keys(stays, ENTITIES)).any()
    assert set(leaves[:, [0, 2]].ravel()) <= set(stays[:, [0, 2]].ravel())
    assert set(leaves[:, 1]) <= set(stays[:, 1])


@pytest.mark.parametrize("seed", range(5))
def test_enough_facts_are_held_out_and_at_most_one_group_too_many(seed: int) -> None:
    facts = random_facts(seed)
    _, sizes = np.unique(pair_keys(facts, ENTITIES), return_counts=True)
    assert 15 <= held(facts).sum() < 15 + sizes.max()


def test_both_directions_of_a_symmetric_relation_go_together() -> None:
    pairs = [(a, b) for a in range(ENTITIES) for b in range(a)]
    facts = np.array([(a, 0, b) for a, b in pairs] + [(b, 0, a) for a, b in pairs])
    chosen = held(facts)
    np.testing.assert_array_equal(chosen[: len(pairs)], chosen[len(pairs) :])
    assert chosen.sum() == 16


def test_a_relation_of_few_facts_is_never_held_out() -> None:
    facts = random_facts(0)
    rare = facts[facts[:, 1] == 3][: MIN_RELATION_FACTS - 1]
    facts = np.concatenate([facts[facts[:, 1] != 3], rare])
    chosen = held(facts, wanted=len(facts))
    assert not (facts[chosen, 1] == 3).any()


def test_a_fact_marked_to_be_kept_stays_with_its_whole_pair() -> None:
    facts = random_facts(1)
    keep = np.arange(len(facts)) % 3 == 0
    chosen = held(facts, wanted=len(facts), keep=keep)
    kept_pairs = pair_keys(facts[keep], ENTITIES)
    assert chosen.any()
    assert not np.isin(pair_keys(facts[chosen], ENTITIES), kept_pairs).any()


def test_the_choice_does_not_depend_on_the_order_of_the_facts() -> None:
    facts = random_facts(2)
    order = np.random.default_rng(3).permutation(len(facts))
    np.testing.assert_array_equal(held(facts)[order], held(facts[order]))


def test_the_same_seed_gives_the_same_choice_and_another_seed_another() -> None:
    facts = random_facts(4)
    np.testing.assert_array_equal(held(facts, seed=1), held(facts, seed=1))
    assert (held(facts, seed=1) != held(facts, seed=2)).any()


def test_nothing_is_held_out_of_a_chain_that_needs_every_fact() -> None:
    facts = np.array([(2 * i, 0, 2 * i + 1) for i in range(6)])
    assert not held(facts).any()


def test_a_loop_that_is_all_an_entity_has_stays() -> None:
    others = [(a, 0, b) for a in range(6) for b in range(6) if a != b]
    facts = np.array([*others, (7, 0, 7)])
    assert not held(facts, wanted=len(facts))[-1]


def test_a_loop_of_an_entity_with_other_facts_may_be_held_out() -> None:
    facts = np.array([(a, 0, b) for a in range(6) for b in range(6)])
    chosen = held(facts, wanted=len(facts))
    assert chosen[facts[:, 0] == facts[:, 2]].any()


def test_fact_keys_are_equal_for_equal_facts_only() -> None:
    every = np.stack(np.meshgrid(range(3), range(2), range(3)), axis=-1).reshape(-1, 3)
    assert len(np.unique(fact_keys(every, 3, 2))) == len(every) == 18
