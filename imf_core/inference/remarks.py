"""Remarks on new decisions about facts: the decision that each replaces, or why it changes nothing.

The splits are those of the graph of the last run, which earlier decisions may have changed. So a
fact with an earlier verdict gets no remark about train: that verdict may have put it there or
removed it. A loop (head = tail) joins train, as one of the source does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imf_core.graph.decided import ACCEPTED, DECIDED
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import find_loops
from imf_core.inference.fact_table import NEW
from imf_core.prepare.decisions import WITHDRAWN, Decision, find_latest
from imf_core.prepare.redundancy import HELD_OUT_SPLITS, find_copies, find_redundancy, is_among

FIRST_LOOP = (
    "its relation joins no entity to itself in train: from the next run on, an entity may answer a "
    "question about itself with this relation"
)
"""Remark on the first accepted loop of a relation."""


@dataclass(frozen=True)
class Remark:
    """What a new decision does.

    Attributes:
        text: For the person who decided; "" for none.
        changes_graph: Whether the next `prepare` makes another graph.
    """

    text: str
    changes_graph: bool


def remark_decisions(
    graph: Graph, earlier: Sequence[Decision], made: Sequence[Decision]
) -> list[Remark]:
    """Returns a remark on each new decision.

    Args:
        graph: The graph of the last run, with all labels of the decisions.
        earlier: All lines of the file before, in their order.
        made: New decisions, in order.
    """
    facts = _find_ids(graph, made)
    splits, is_copy = _find_splits(graph, facts), _gives_away(graph, facts, made)
    has_loops = find_loops(graph)[facts[:, 1]].tolist()
    latest = find_latest(earlier)
    with_verdict = {each.fact for each in earlier if each.decision in DECIDED}
    remarks = []
    for number, each in enumerate(made):
        before = latest.pop(each.fact, None)
        text, is_other = _compare(each, before)
        reasons = [text]
        is_new = splits[number] == NEW
        changes = is_other and splits[number] not in HELD_OUT_SPLITS
        if is_other and each.decision in DECIDED and splits[number] in HELD_OUT_SPLITS:
            reasons.append(f"{splits[number]} keeps the fact, so that metrics stay comparable")
        if is_other and each.decision == ACCEPTED:
            if splits[number] == "train" and each.fact not in with_verdict:
                reasons.append("train has the fact")
                changes = False
            elif is_copy[number]:
                reasons.append("train stays without it: it would give a fact of valid or test away")
            elif is_new and each.head == each.tail and not has_loops[number]:
                reasons.append(FIRST_LOOP)
        remarks.append(Remark("; ".join(filter(None, reasons)), changes))
        if each.decision != WITHDRAWN:
            latest[each.fact] = each
        if each.decision in DECIDED:
            with_verdict.add(each.fact)
    return remarks


def _compare(made: Decision, before: Decision | None) -> tuple[str, bool]:
    """Compares a decision with the one before: a remark, and whether the verdict is another."""
    verdict = made.decision if made.decision in DECIDED else None
    if before is None:
        no_decision = "no effect: the fact had no decision"
        return no_decision if made.decision == WITHDRAWN else "", verdict is not None
    what = f"{' '.join(before.by.split())}'s decision `{before.decision}` of {before.at[:10]}"
    if made.decision == before.decision:
        return f"no effect: repeats {what}", False
    return f"replaces {what}", verdict != (before.decision if before.decision in DECIDED else None)


def _find_ids(graph: Graph, made: Sequence[Decision]) -> NDArray[np.int64]:
    entities = {label: number for number, label in enumerate(graph.entity_labels)}
    relations = {label: number for number, label in enumerate(graph.relation_labels)}
    ids = [(entities[each.head], relations[each.relation], entities[each.tail]) for each in made]
    return np.array(ids, dtype=np.int64).reshape(-1, 3)


def _find_splits(graph: Graph, facts: NDArray[np.int64]) -> list[str]:
    """Returns the split of each fact, or `new`."""
    found = np.full(len(facts), NEW, dtype=object)
    for split, known in graph.facts.items():
        found[is_among(facts, known, graph.num_entities, graph.num_relations)] = split
    return list(found)


def _gives_away(
    graph: Graph, facts: NDArray[np.int64], made: Sequence[Decision]
) -> NDArray[np.bool_]:
    """Returns which accepted facts give a fact of valid or test away, see `apply_decisions`."""
    found = np.zeros(len(facts), dtype=bool)
    is_accepted = np.array([each.decision == ACCEPTED for each in made], dtype=bool)
    if is_accepted.any():
        sizes, accepted = (graph.num_entities, graph.num_relations), facts[is_accepted]
        redundancy = find_redundancy(np.concatenate([*graph.facts.values(), accepted]), *sizes)
        held_out = np.concatenate([graph.facts[split] for split in HELD_OUT_SPLITS])
        copies = find_copies(accepted, held_out, redundancy, *sizes).given_away
        found[is_accepted] = copies & ~is_among(accepted, held_out, *sizes)
    return found
