"""Splits of facts into train, valid and test."""

import numpy as np
import pytest

from imf_core.base.config import PrepareParams
from imf_core.base.errors import DataError
from imf_core.graph.labels import Facts
from imf_core.prepare.facts import pair_keys
from imf_core.prepare.redundancy import Redundancy
from imf_core.prepare.split import CLEANED, GIVEN, HELD_OUT, Splits, make_splits

ENTITIES, RELATIONS = 40, 3

# Relation 0 is symmetric, 1 and 2 are inverse as well as duplicates.
REDUNDANCY = Redundancy(
    is_symmetric=np.array([True, False, False]),
    inverse=np.array([[1, 2]]),
    duplicate=np.array([[1, 2]]),
)


def facts_from(start: int, stop: int) -> Facts:
    """Distinct facts over all entities; no two of them join the same pair."""
    pairs = [(a, b) for step in range(1, 12) for a in range(ENTITIES) for b in [a + step]]
    rows = [(a, (a + b) % RELATIONS, b % ENTITIES) for a, b in pairs]
    return np.array(rows[start:stop])


def splits(params: PrepareParams, **found: Facts) -> Splits:
    return make_splits(found, REDUNDANCY, ENTITIES, RELATIONS, params)


@pytest.fixture
def official(prepare_params: PrepareParams) -> PrepareParams:
    return prepare_params.model_copy(update={"split": "official"})


@pytest.fixture(params=["leak-free", "official"])
def cleaned(request: pytest.FixtureRequest, prepare_params: PrepareParams) -> PrepareParams:
    return prepare_params.model_copy(update={"split": request.param, "test": "cleaned"})


def copies_of(train: Facts) -> Facts:
    """Returns reverses under symmetric and inverse relations, and duplicates."""
    other = np.array([0, 2, 1])[train[:, 1]]
    reversed_facts = np.stack([train[:, 2], other, train[:, 0]], axis=1)
    duplicates = np.stack([train[:, 0], other, train[:, 2]], axis=1)[train[:, 1] > 0]
    return np.concatenate([reversed_facts, duplicates])


def under_two_relations(facts: Facts) -> Facts:
    """Facts that each join their pair twice."""
    others = np.stack([facts[:, 0], (facts[:, 1] + 1) % RELATIONS, facts[:, 2]], axis=1)
    return np.concatenate([facts, others])


def rows(facts: Facts) -> set[tuple[int, ...]]:
    return {tuple(row) for row in facts.tolist()}


def test_given_splits_without_faults_are_kept_in_their_order(
    prepare_params: PrepareParams,
) -> None:
    found = {
        "train": facts_from(0, 200),
        "valid": facts_from(200, 230),
        "test": facts_from(230, 260),
    }
    made = splits(prepare_params, **found)
    for split, lines in found.items():
        np.testing.assert_array_equal(made.facts[split], lines)
    assert (made.valid_source, made.test_source) == (GIVEN, GIVEN)


def test_train_alone_is_split_into_three_without_loss(prepare_params: PrepareParams) -> None:
    train = facts_from(0, 300)
    made = splits(prepare_params, train=train)
    assert {split: len(part) for split, part in made.facts.items()} == {
        "train": 240,
        "valid": 30,
        "test": 30,
    }
    assert rows(np.concatenate(list(made.facts.values()))) == rows(train)
    assert (made.valid_source, made.test_source) == (HELD_OUT, HELD_OUT)


def test_held_out_splits_share_no_pair_with_train(prepare_params: PrepareParams) -> None:
    train = np.concatenate([facts_from(0, 200), facts_from(0, 100)[:, [2, 1, 0]]])
    made = splits(prepare_params, train=train).facts
    linked = pair_keys(made["train"], ENTITIES)
    for split in ("valid", "test"):
        assert not np.isin(pair_keys(made[split], ENTITIES), linked).any()


def test_a_contaminated_valid_is_rebuilt_and_its_new_facts_join_train(
    prepare_params: PrepareParams,
) -> None:
    train, test, new = facts_from(0, 200), facts_from(200, 220), facts_from(220, 225)
    valid = np.concatenate([train[:20], test[:5], new])
    made = splits(prepare_params, train=train, valid=valid, test=test)
    assert made.valid_source == HELD_OUT
    assert (made.valid_dropped, made.valid_returned_to_train) == (25, 5)
    assert len(made.facts["valid"]) == 22
    assert rows(made.facts["train"]) | rows(made.facts["valid"]) == rows(train) | rows(new)
    np.testing.assert_array_equal(made.facts["test"], test)


def test_a_valid_beside_a_given_test_takes_single_facts(prepare_params: PrepareParams) -> None:
    both = under_two_relations(facts_from(0, 200))
    facts = splits(prepare_params, train=both, test=facts_from(200, 230)).facts
    pairs = {split: set(pair_keys(facts[split], ENTITIES).tolist()) for split in facts}
    assert pairs["valid"] & pairs["train"]


def test_a_valid_beside_a_cleaned_test_shares_no_pair_with_train(
    prepare_params: PrepareParams,
) -> None:
    params = prepare_params.model_copy(update={"test": "cleaned"})
    both = under_two_relations(facts_from(0, 200))
    facts = splits(params, train=both, test=facts_from(200, 230)).facts
    pairs = {split: set(pair_keys(facts[split], ENTITIES).tolist()) for split in facts}
    assert not pairs["valid"] & pairs["train"]


def test_a_lightly_contaminated_valid_is_cleaned(prepare_params: PrepareParams) -> None:
    train, test = facts_from(0, 200), facts_from(260, 300)
    valid = np.concatenate([facts_from(200, 240), train[:1], test[:1]])
    made = splits(prepare_params, train=train, valid=valid, test=test)
    assert (made.valid_source, made.valid_dropped) == (CLEANED, 2)
    np.testing.assert_array_equal(made.facts["valid"], valid[:40])
    np.testing.assert_array_equal(made.facts["train"], train)


def test_an_official_valid_is_kept_whatever_it_holds(official: PrepareParams) -> None:
    train, test = facts_from(0, 200), facts_from(200, 220)
    made = splits(official, train=train, valid=train[:20], test=test)
    np.testing.assert_array_equal(made.facts["valid"], train[:20])
    assert made.valid_source == GIVEN


@pytest.mark.parametrize("kind", ["leak-free", "official"])
def test_test_is_never_changed_even_where_it_overlaps_train(
    prepare_params: PrepareParams, kind: str
) -> None:
    params = prepare_params.model_copy(update={"split": kind})
    train = facts_from(0, 200)
    test = np.concatenate([train[:50], facts_from(200, 220)])
    made = splits(params, train=train, test=test)
    np.testing.assert_array_equal(made.facts["test"], test)


def test_a_cleaned_test_loses_exactly_what_train_gives_away(cleaned: PrepareParams) -> None:
    train, new = facts_from(0, 200), facts_from(200, 220)
    given_away = np.concatenate([train[:10], copies_of(train[10:40])])
    # The reverse under its own relation gives nothing away where that is not symmetric.
    turned = facts_from(50, 60)
    turned = turned[turned[:, 1] > 0][:, [2, 1, 0]]
    kept = np.concatenate([new, turned])
    made = splits(cleaned, train=train, test=np.concatenate([given_away, kept]))
    np.testing.assert_array_equal(made.facts["test"], kept)
    assert (made.test_source, made.test_dropped) == (CLEANED, len(rows(given_away)))


def test_a_cleaned_test_takes_nothing_from_train(cleaned: PrepareParams) -> None:
    train, valid = facts_from(0, 200), facts_from(220, 240)
    test = np.concatenate([train[:50], facts_from(200, 220)])
    made = splits(cleaned, train=train, valid=valid, test=test)
    np.testing.assert_array_equal(made.facts["train"], train)
    assert (made.train_dropped, made.test_dropped) == (0, 50)


def test_a_cleaned_test_stays_clean_when_facts_of_valid_join_train(
    prepare_params: PrepareParams,
) -> None:
    params = prepare_params.model_copy(update={"test": "cleaned"})
    train, new = facts_from(0, 200), facts_from(200, 205)
    test = np.concatenate([copies_of(new), facts_from(220, 240)])
    made = splits(params, train=train, valid=np.concatenate([train[:20], new]), test=test)
    assert made.valid_returned_to_train == 5
    np.testing.assert_array_equal(made.facts["test"], facts_from(220, 240))


def test_a_test_without_a_leak_is_as_given_after_cleaning(cleaned: PrepareParams) -> None:
    test = facts_from(200, 220)
    made = splits(cleaned, train=facts_from(0, 200), test=test)
    np.testing.assert_array_equal(made.facts["test"], test)
    assert (made.test_source, made.test_dropped) == (GIVEN, 0)


def test_a_test_that_train_gives_away_as_a_whole_cannot_be_cleaned(
    cleaned: PrepareParams,
) -> None:
    train = facts_from(0, 200)
    with pytest.raises(DataError, match=r"each of the 30 test facts away.*prepare\.test: as-given"):
        splits(cleaned, train=train, test=train[:30])


def test_a_rebuilt_valid_never_holds_a_test_fact(prepare_params: PrepareParams) -> None:
    train = facts_from(0, 200)
    made = splits(prepare_params, train=train, test=train[:100])
    assert not rows(made.facts["valid"]) & rows(train[:100])


@pytest.mark.parametrize("kind", ["leak-free", "official"])
def test_duplicates_within_a_split_are_dropped_and_counted(
    prepare_params: PrepareParams, kind: str
) -> None:
    params = prepare_params.model_copy(update={"split": kind})
    train, valid, test = facts_from(0, 200), facts_from(200, 220), facts_from(220, 240)
    made = splits(
        params,
        train=np.concatenate([train, train[:7]]),
        valid=np.concatenate([valid, valid[:2]]),
        test=np.concatenate([test, test[:1]]),
    )
    assert made.duplicate_lines == {"train": 7, "valid": 2, "test": 1}
    np.testing.assert_array_equal(made.facts["train"], train)


def test_only_the_missing_split_is_held_out(prepare_params: PrepareParams) -> None:
    valid = facts_from(200, 220)
    made = splits(prepare_params, train=facts_from(0, 200), valid=valid)
    np.testing.assert_array_equal(made.facts["valid"], valid)
    assert (len(made.facts["test"]), made.test_source) == (22, HELD_OUT)


def test_another_seed_gives_another_split(prepare_params: PrepareParams) -> None:
    other = prepare_params.model_copy(update={"seed": 1})
    train = facts_from(0, 300)
    one, two = splits(prepare_params, train=train), splits(other, train=train)
    assert rows(one.facts["test"]) != rows(two.facts["test"])


def test_a_graph_out_of_which_nothing_can_be_held_is_an_error(
    prepare_params: PrepareParams,
) -> None:
    with pytest.raises(DataError, match=r"none of the 3 train facts .* for test: .*larger graph"):
        splits(prepare_params, train=facts_from(0, 3))
