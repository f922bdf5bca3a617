"""Splits facts into train, valid and test.

In: the facts of a source, split or not, with duplicates. Out: three splits. Usable splits of the
source are kept; a missing or contaminated split is held out of train (`holdout`). A fact counts
once in its split.

A held-out group has all facts between a pair of entities, so that none gives another away. Only a
valid beside an unchanged given test consists of single random facts: such tests were drawn in this
way, and selection on valid should carry over to test, with its copies of train facts.

Test changes only with `prepare.test: cleaned`: the facts that train gives away (`copies`) leave
test, and those in train word for word stay in train. With `as-given`, test stays complete, and for
a leak-free split the facts in both leave train instead; copies under redundant relations stay in
both and are counted. A cleaned-out fact that train has only in another form is in no split, so
filtered ranking does not know it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from imf_core.base.config import PrepareParams
from imf_core.base.errors import DataError
from imf_core.graph.labels import Facts, fact_keys
from imf_core.prepare.facts import drop_duplicates, hold_out
from imf_core.prepare.redundancy import Redundancy, find_copies, is_among

# A valid with a larger share of lines in train or test is rebuilt, one with a smaller share is
# cleaned.
MAX_CONTAMINATION = 0.05

GIVEN, CLEANED, HELD_OUT = "as given", "as given, cleaned", "held out of train"
MISSING = "missing"
"""Source of a split that no file has and that was not held out."""

_SEED_STEP = {"test": 0, "valid": 1}


class SplitError(DataError):
    """The facts of a source cannot be split."""


@dataclass(frozen=True)
class Splits:
    """Facts of the three splits and their origin.

    Attributes:
        facts: Split name -> distinct facts, shape: (N, 3), dtype: int64.
        duplicate_lines: Split name -> lines dropped because they repeat a fact of the split.
        valid_source: `as given`, `as given, cleaned`, `held out of train` or `missing`.
        test_source: The same for test.
        valid_dropped: Distinct valid facts dropped because they are in train or test.
        valid_returned_to_train: Distinct facts of a discarded valid that joined train.
        train_dropped: Distinct train facts dropped because they are in test word for word.
        test_dropped: Distinct test facts dropped because train gives them away.
    """

    facts: dict[str, Facts]
    duplicate_lines: dict[str, int]
    valid_source: str
    test_source: str
    valid_dropped: int
    valid_returned_to_train: int
    train_dropped: int
    test_dropped: int


def make_splits(
    found: Mapping[str, Facts],
    redundancy: Redundancy,
    num_entities: int,
    num_relations: int,
    params: PrepareParams,
) -> Splits:
    """Makes train, valid and test from the splits of a source.

    Args:
        found: Split name -> lines of the source, shape: (N, 3), dtype: int64; `valid` and `test`
            may be absent.
        redundancy: The redundant relations.
        num_entities: E.
        num_relations: R.
        params: Kind of split, whether test is cleaned, fractions and seed.

    Returns:
        The three splits, none of them empty.

    Raises:
        SplitError: If a split is missing and no fact can be held out for it, or train gives away
            every fact of a test to be cleaned, or a test holds every fact of train.
    """
    facts, duplicates = _drop_duplicates(found, num_entities, num_relations)
    wanted = _distinct_facts(facts, num_entities, num_relations)
    valid_source = GIVEN if "valid" in found else HELD_OUT
    test_source = GIVEN if "test" in found else HELD_OUT
    dropped = returned = 0
    if params.split == "leak-free" and "valid" in found:
        others = np.concatenate([facts["train"], facts.get("test", facts["train"][:0])])
        contaminated = is_among(facts["valid"], others, num_entities, num_relations)
        clean, dropped = facts["valid"][~contaminated], int(contaminated.sum())
        lines = is_among(found["valid"], others, num_entities, num_relations)
        if lines.mean() > MAX_CONTAMINATION:
            facts["train"] = np.concatenate([facts["train"], clean])
            del facts["valid"]
            returned, valid_source = len(clean), HELD_OUT
        elif dropped:
            facts["valid"], valid_source = clean, CLEANED
    test_dropped = train_dropped = 0
    if params.test == "cleaned" and "test" in found:
        clean = _clean_test(facts, redundancy, num_entities, num_relations)
        test_dropped = len(facts["test"]) - len(clean)
        facts["test"], test_source = clean, CLEANED if test_dropped else GIVEN
    if params.split == "leak-free" and "test" in found:
        leaking = is_among(facts["train"], facts["test"], num_entities, num_relations)
        train_dropped = int(leaking.sum())
        _require_train(train_dropped, facts)
        facts["train"] = facts["train"][~leaking]
    resembles_test = "test" in found and params.test == "as-given"
    for split, fraction in (("test", params.test_fraction), ("valid", params.valid_fraction)):
        if split not in facts:
            facts.update(
                _hold_out(
                    facts,
                    split,
                    round(fraction * wanted),
                    num_entities,
                    num_relations,
                    params.seed,
                    whole_pairs=not resembles_test,
                    dropped=train_dropped,
                    is_given=split in found,
                )
            )
    return Splits(
        facts,
        duplicates,
        valid_source,
        test_source,
        dropped,
        returned,
        train_dropped,
        test_dropped,
    )


def keep_splits(found: Mapping[str, Facts], num_entities: int, num_relations: int) -> Splits:
    """Returns the splits of a source as they are; a missing split is empty.

    Args:
        found: As in `make_splits`.
        num_entities: E.
        num_relations: R.
    """
    facts, duplicates = _drop_duplicates(found, num_entities, num_relations)
    nothing = np.empty((0, 3), dtype=np.int64)
    return Splits(
        facts={"valid": nothing, "test": nothing, **facts},
        duplicate_lines=duplicates,
        valid_source=GIVEN if "valid" in found else MISSING,
        test_source=GIVEN if "test" in found else MISSING,
        valid_dropped=0,
        valid_returned_to_train=0,
        train_dropped=0,
        test_dropped=0,
    )


def _drop_duplicates(
    found: Mapping[str, Facts], num_entities: int, num_relations: int
) -> tuple[dict[str, Facts], dict[str, int]]:
    """Returns the distinct facts of each split, and how many lines repeat one."""
    facts = {
        split: drop_duplicates(lines, num_entities, num_relations) for split, lines in found.items()
    }
    return facts, {split: len(found[split]) - len(facts[split]) for split in found}


def _clean_test(
    facts: Mapping[str, Facts], redundancy: Redundancy, num_entities: int, num_relations: int
) -> Facts:
    """Returns the facts of test that train does not give away."""
    test, train = facts["test"], facts["train"]
    given_away = find_copies(test, train, redundancy, num_entities, num_relations).given_away
    if given_away.all():
        raise SplitError(
            f"train gives each of the {len(test)} test facts away, so that prepare.test: cleaned "
            "leaves none; set prepare.test: as-given, or take test.txt away and have a new test "
            "held out of train"
        )
    return test[~given_away]


def _require_train(dropped: int, facts: Mapping[str, Facts]) -> None:
    """Refuses a test that contains all train facts."""
    num_train, num_test = len(facts["train"]), len(facts["test"])
    if dropped < num_train:
        return
    held = "the same facts as train" if num_test == num_train else "every fact of train"
    raise SplitError(
        f"test holds {held} ({num_train} train facts, {num_test} test facts), so that "
        "prepare.split: leak-free leaves no train fact; bring a test of facts that train does not "
        "have, or take the file of test away and have a new test held out of train"
    )


def _hold_out(
    facts: Mapping[str, Facts],
    split: str,
    wanted: int,
    num_entities: int,
    num_relations: int,
    seed: int,
    *,
    whole_pairs: bool,
    dropped: int,
    is_given: bool,
) -> dict[str, Facts]:
    """Returns train without the held-out facts, and `split` with them."""
    train = facts["train"]
    keep = np.zeros(len(train), dtype=bool)
    for name in facts.keys() - {"train"}:
        # A fact in train and another split would make the held-out splits overlap.
        keep |= is_among(train, facts[name], num_entities, num_relations)
    step_seed = len(_SEED_STEP) * seed + _SEED_STEP[split]
    is_held = hold_out(
        train,
        max(wanted, 1),
        num_entities,
        num_relations,
        step_seed,
        keep,
        whole_pairs=whole_pairs,
    )
    if not is_held.any():
        left = f" that test does not hold ({dropped} are in test)" if dropped else ""
        remedy = f"write a {split}.txt"
        if is_given:
            remedy = (
                f"a {split}.txt without facts of train and test: too many of its lines are there"
            )
        raise SplitError(
            f"none of the {len(train)} train facts{left} can be held out for {split}: every one is "
            "the last of an entity or has a relation of less than five facts; bring a larger graph "
            f"or {remedy}"
        )
    return {"train": train[~is_held], split: train[is_held]}


def _distinct_facts(facts: Mapping[str, Facts], num_entities: int, num_relations: int) -> int:
    """Counts the distinct facts of all splits together."""
    together = np.concatenate(list(facts.values()))
    return len(np.unique(fact_keys(together, num_entities, num_relations)))
