"""Remarks on decisions: what each replaces, and whether the next run makes another graph."""

from dataclasses import replace

import pytest
import torch

from imf_core.graph.graph import Graph
from imf_core.inference.remarks import Remark, remark_decisions
from imf_core.prepare.decisions import Decision

NEW_FACT = ("e05", "speaks", "e06")
ADA = "Ada's decision `{}` of 2026-03-01"
REPLACES = f"replaces {ADA}"
KEPT = "{} keeps the fact, so that metrics stay comparable"


def made(fact: tuple[str, str, str], decision: str) -> Decision:
    head, relation, tail = fact
    values = {"head": head, "relation": relation, "tail": tail, "decision": decision}
    return Decision.model_validate({**values, "by": "Ada", "at": "2026-03-01T00:00:00Z"})


def labels_in(graph: Graph, split: str) -> tuple[str, str, str]:
    head, relation, tail = graph.triples[split][0].tolist()
    entities = graph.entity_labels
    return entities[head], graph.relation_labels[relation], entities[tail]


def remark(graph: Graph, earlier: list[str], decision: str, fact: tuple[str, str, str]) -> Remark:
    (found,) = remark_decisions(
        graph, [made(fact, each) for each in earlier], [made(fact, decision)]
    )
    return found


@pytest.mark.parametrize(
    ("earlier", "decision", "text", "changes"),
    [
        ([], "accepted", "", True),
        ([], "rejected", "", True),
        ([], "unsure", "", False),
        ([], "withdrawn", "no effect: the fact had no decision", False),
        (["rejected", "withdrawn"], "withdrawn", "no effect: the fact had no decision", False),
        (["accepted"], "accepted", f"no effect: repeats {ADA.format('accepted')}", False),
        (["accepted"], "rejected", f"replaces {ADA.format('accepted')}", True),
        (["accepted"], "withdrawn", f"replaces {ADA.format('accepted')}", True),
        (["unsure"], "withdrawn", f"replaces {ADA.format('unsure')}", False),
        (["accepted", "unsure"], "withdrawn", f"replaces {ADA.format('unsure')}", False),
    ],
)
def test_a_decision_about_a_new_fact(
    earlier: list[str], decision: str, text: str, changes: bool, graph: Graph
) -> None:
    assert remark(graph, earlier, decision, NEW_FACT) == Remark(text, changes)


@pytest.mark.parametrize(
    ("split", "earlier", "decision", "text", "changes"),
    [
        ("train", [], "accepted", "train has the fact", False),
        ("train", [], "rejected", "", True),
        (
            "train",
            ["unsure"],
            "accepted",
            f"replaces {ADA.format('unsure')}; train has the fact",
            False,
        ),
        ("train", ["accepted", "withdrawn"], "accepted", "", True),
        ("test", [], "accepted", KEPT.format("test"), False),
        ("valid", [], "rejected", KEPT.format("valid"), False),
        (
            "valid",
            ["rejected"],
            "accepted",
            f"{REPLACES.format('rejected')}; {KEPT.format('valid')}",
            False,
        ),
        ("valid", ["rejected"], "withdrawn", f"replaces {ADA.format('rejected')}", False),
    ],
)
def test_a_decision_about_a_fact_of_a_split(
    split: str, earlier: list[str], decision: str, text: str, changes: bool, graph: Graph
) -> None:
    assert remark(graph, earlier, decision, labels_in(graph, split)) == Remark(text, changes)


def test_an_accepted_copy_of_a_held_out_fact_stays_out_of_train(graph: Graph) -> None:
    pairs = [(number, 1, number + 1) for number in range(0, 16, 2)]
    symmetric = [*pairs, *((tail, relation, head) for head, relation, tail in pairs)]
    triples = {"train": symmetric[:-1], "valid": [(0, 0, 19)], "test": [(16, 1, 17)]}
    mirrored = replace(
        graph, triples={split: torch.tensor(facts) for split, facts in triples.items()}
    )
    labels = graph.entity_labels
    found = remark(mirrored, [], "accepted", (labels[17], graph.relation_labels[1], labels[16]))
    assert found.text.startswith("train stays without it: it would give a fact of valid or test")


def test_the_same_fact_twice_in_a_file_is_decided_once(graph: Graph) -> None:
    first, second = remark_decisions(graph, [], [made(NEW_FACT, "unsure")] * 2)
    assert first.text == ""
    assert second.text.startswith("no effect: repeats Ada's decision `unsure`")


def test_an_accepted_loop_says_what_it_changes_unless_train_has_such_loops(graph: Graph) -> None:
    loop = ("e05", "speaks", "e05")
    assert "may answer a question about itself" in remark(graph, [], "accepted", loop).text
    train = torch.cat([graph.triples["train"], torch.tensor([[6, 2, 6]])])
    looped = replace(graph, triples={**graph.triples, "train": train})
    assert graph.relation_labels[2] == "speaks"
    assert remark(looped, [], "accepted", loop) == Remark("", changes_graph=True)
