"""Decisions in `prepare`: accepted facts join train, rejected ones leave it, test stays."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imf_core.base.config import FOLDER, PrepareParams
from imf_core.base.errors import DataError
from imf_core.graph.decided import load_decided, save_decided
from imf_core.graph.issues import issues_of
from imf_core.graph.labels import SPLITS
from imf_core.prepare.decisions import Decision
from imf_core.prepare.prepare import Prepared, prepare_graph
from imf_core.prepare.summary import describe

Prepare = Callable[..., Prepared]


def decide(decision: str, *facts: str) -> list[Decision]:
    """Decides facts such as `e00 r1 e05`."""
    return [
        Decision(
            **dict(zip(("head", "relation", "tail"), fact.split(), strict=True)),
            decision=decision,
            by="Ada",
            at="2026-03-01T09:30:00Z",
        )
        for fact in facts
    ]


@pytest.fixture
def prepare(
    make_folder: Callable[..., Path], prepare_params: PrepareParams, ring_facts: list[str]
) -> Prepare:
    """Prepares the ring graph, or other facts, with decisions."""

    def run(decisions: list[Decision] | None = None, **files: list[str]) -> Prepared:
        named = {f"{name}.txt": facts for name, facts in files.items()}
        source = make_folder({"train.txt": ring_facts, **named})
        return prepare_graph(source, FOLDER, prepare_params, decisions or [])

    return run


def facts_in(prepared: Prepared, split: str) -> set[str]:
    labels = prepared.labels
    facts = prepared.facts.get(split)
    return {
        f"{labels.entity_labels[h]} {labels.relation_labels[r]} {labels.entity_labels[t]}"
        for h, r, t in (prepared.decided[split] if facts is None else facts).tolist()
    }


def counts_of(prepared: Prepared) -> dict[str, int]:
    return {issue.kind: issue.count for issue in issues_of(prepared.summary["issues"])}


def test_an_accepted_fact_joins_train_and_moves_no_other(prepare: Prepare) -> None:
    before, after = prepare(), prepare(decide("accepted", "e00 r1 e05"))
    assert facts_in(after, "train") == facts_in(before, "train") | {"e00 r1 e05"}
    for split in ("valid", "test"):
        assert np.array_equal(after.facts[split], before.facts[split])
    assert after.labels == before.labels
    assert after.summary["decisions"]["joined_train"] == 1
    assert "decisions: 1 accepted (1 joined train), 0 rejected" in "\n".join(
        describe(after.summary)
    )


def test_without_decisions_nothing_changes(prepare: Prepare) -> None:
    assert prepare(decide("unsure", "e00 r1 e05")).facts.keys() == prepare().facts.keys()
    assert "decisions" not in prepare().summary
    unsure = prepare(decide("unsure", "e00 r1 e05"))
    for split in SPLITS:
        assert np.array_equal(unsure.facts[split], prepare().facts[split])


def test_the_order_of_lines_does_not_change_the_graph(prepare: Prepare) -> None:
    decisions = decide("accepted", "e07 r1 e02", "e00 r1 e05") + decide("rejected", "e05 r3 e00")
    one, other = prepare(decisions), prepare(decisions[::-1])
    assert np.array_equal(one.facts["train"], other.facts["train"])
    assert np.array_equal(one.decided["rejected"], other.decided["rejected"])


def test_a_rejected_fact_of_train_leaves_it_and_is_an_issue(prepare: Prepare) -> None:
    fact = min(facts_in(prepare(), "train"))
    after = prepare(decide("rejected", fact))
    assert fact not in facts_in(after, "train")
    assert facts_in(after, "rejected") == {fact}
    (issue,) = issues_of(after.summary["issues"])
    assert (issue.kind, issue.count) == ("rejected_in_train", 1)
    assert issue.examples == (" ".join(map(repr, fact.split())),)


def test_a_rejected_new_fact_is_kept_as_false(prepare: Prepare) -> None:
    after = prepare(decide("rejected", "e00 r1 e05"))
    assert facts_in(after, "rejected") == {"e00 r1 e05"}
    assert counts_of(after) == {}


@pytest.mark.parametrize("split", ["valid", "test"])
@pytest.mark.parametrize("decision", ["accepted", "rejected"])
def test_a_decision_about_a_held_out_fact_leaves_it_there_and_is_an_issue(
    decision: str, split: str, prepare: Prepare
) -> None:
    before = prepare()
    fact = min(facts_in(before, split))
    after = prepare(decide(decision, fact))
    for name in SPLITS:
        assert np.array_equal(after.facts[name], before.facts[name])
    assert counts_of(after) == {f"{decision}_held_out": 1}
    assert facts_in(after, "accepted") | facts_in(after, "rejected") == set()


def test_an_accepted_fact_that_gives_a_test_fact_away_stays_out_of_train(
    prepare: Prepare,
) -> None:
    # r1 is symmetric; test has one direction of a pair that train does not have.
    pairs = [(f"e{i:02}", f"e{i + 1:02}") for i in range(11)]
    both = [f"{a} r1 {b}" for a, b in pairs] + [f"{b} r1 {a}" for a, b in pairs]
    files = {
        "train": [*both, *(f"e{i:02} r2 e{(i + 2) % 12:02}" for i in range(12))],
        "valid": ["e00 r2 e05"],
        "test": ["e00 r1 e11"],
    }
    after = prepare(decide("accepted", "e11 r1 e00"), **files)
    assert "e11 r1 e00" not in facts_in(after, "train")
    assert facts_in(after, "accepted") == {"e11 r1 e00"}
    assert counts_of(after)["accepted_copies"] == 1
    assert after.summary["leaks"]["test_given_away"] == 0


def test_a_decision_about_unknown_labels_is_an_issue(prepare: Prepare) -> None:
    after = prepare(decide("accepted", "e00 r1 nobody") + decide("rejected", "e00 r9 e01"))
    (issue,) = issues_of(after.summary["issues"])
    assert (issue.kind, issue.count) == ("decisions_of_unknown_labels", 2)
    assert np.array_equal(after.facts["train"], prepare().facts["train"])


def test_an_accepted_fact_of_train_is_there_once(prepare: Prepare) -> None:
    fact = min(facts_in(prepare(), "train"))
    after = prepare(decide("accepted", fact))
    assert np.array_equal(after.facts["train"], prepare().facts["train"])


def test_all_of_train_cannot_be_rejected(prepare: Prepare) -> None:
    with pytest.raises(DataError, match=r"train facts are rejected.*imf decide withdraw"):
        prepare(decide("rejected", *facts_in(prepare(), "train")))


def test_decided_facts_are_read_as_written(tmp_path: Path) -> None:
    decided = {
        "accepted": np.array([[0, 1, 2]]),
        "rejected": np.array([[3, 0, 1], [2, 0, 0]]),
    }
    save_decided(decided, "print", tmp_path)
    found = load_decided(tmp_path, "print")
    assert {name: facts.tolist() for name, facts in found.items()} == {
        name: facts.tolist() for name, facts in decided.items()
    }
    with pytest.raises(DataError, match=r"another graph|fingerprint"):
        load_decided(tmp_path, "other")


def test_accepted_reverses_that_make_a_relation_symmetric_give_no_held_out_fact_away(
    prepare: Prepare,
) -> None:
    facts = [f"e{n:02} borders e{n + 1:02}" for n in range(0, 20, 2)]
    reverses = [f"{tail} {relation} {head}" for head, relation, tail in map(str.split, facts)]
    splits = {"train": facts[:8], "valid": facts[8:9], "test": facts[9:]}
    after = prepare(decide("accepted", *reverses), **splits)
    assert facts_in(after, "train") == {*facts[:8], *reverses[:8]}
    assert facts_in(after, "accepted") == set(reverses[8:])
    assert counts_of(after)["accepted_copies"] == 2
    assert after.summary["leaks"]["valid_given_away"] == 0
    assert after.summary["leaks"]["test_given_away"] == 0
