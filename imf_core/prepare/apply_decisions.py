"""Applies people's decisions to the splits of a graph: they change train alone.

Accepted facts join train, rejected ones leave it. Valid and test stay as they are, so that metrics
before and after a decision are of the same facts, and no accepted fact gives a held-out one away:
neither that fact itself nor its copy under a symmetric, inverse or duplicate relation joins. A
relation may become redundant by the accepted facts. Every such case is a data issue.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imf_core.base.errors import DataError
from imf_core.graph.decided import ACCEPTED, REJECTED
from imf_core.graph.issues import DataIssue, data_issue
from imf_core.graph.labels import Facts
from imf_core.prepare.decisions import UNSURE, Decision, LabelFact, find_latest
from imf_core.prepare.redundancy import (
    HELD_OUT_SPLITS,
    Redundancy,
    find_copies,
    find_redundancy,
    is_among,
)
from imf_core.prepare.source import SourceGraph


@dataclass(frozen=True)
class AppliedDecisions:
    """The splits after the decisions.

    Attributes:
        facts: Split name -> distinct facts, shape: (N, 3), dtype: int64.
        decided: `accepted` and `rejected` -> decided facts in no split, shape: (N, 3), int64.
        redundancy: The redundant relations of the source with the accepted facts.
        counts: Numbers for the summary; empty without decisions.
        issues: Decisions that contradict the graph or have no effect.
    """

    facts: dict[str, Facts]
    decided: dict[str, Facts]
    redundancy: Redundancy
    counts: dict[str, int]
    issues: list[DataIssue]


def apply_decisions(
    decisions: Sequence[Decision],
    source: SourceGraph,
    facts: Mapping[str, Facts],
) -> AppliedDecisions:
    """Applies decisions.

    Args:
        decisions: All lines of the file; the latest decision of a fact counts.
        source: Gives the ids of labels.
        facts: Split name -> distinct facts, shape: (N, 3), dtype: int64.

    Raises:
        DataError: If no train fact is left.
    """
    latest = find_latest(decisions)
    sizes = len(source.entity_labels), len(source.relation_labels)
    by_verdict, unknown = _find_ids(latest, source)
    accepted, rejected = by_verdict[ACCEPTED], by_verdict[REJECTED]
    held_out = np.concatenate([facts[split] for split in HELD_OUT_SPLITS])
    train = facts["train"]
    redundancy = find_redundancy(np.concatenate([*source.facts.values(), accepted]), *sizes)

    is_held = is_among(accepted, held_out, *sizes)
    is_known = is_among(accepted, train, *sizes)
    is_copy = find_copies(accepted, held_out, redundancy, *sizes).given_away & ~is_held & ~is_known
    is_added = ~(is_held | is_known | is_copy)
    is_rejected_held = is_among(rejected, held_out, *sizes)
    is_removed = is_among(train, rejected, *sizes)
    if is_removed.all() and not is_added.any():
        raise DataError(
            f"all {len(train)} train facts are rejected, so that none is left to learn; withdraw "
            "decisions (`imf decide withdraw`) or name another file in dataset.decisions"
        )

    def shown(some: Facts) -> Iterable[str]:
        return (_format(source, fact) for fact in some.tolist())

    issues = [
        *data_issue(
            "rejected_in_train",
            "facts of train are rejected by a decision: left out of train; correct the source",
            shown(train[is_removed]),
        ),
        *data_issue(
            "rejected_held_out",
            "facts of valid or test are rejected by a decision: left there, so that metrics stay "
            "comparable; correct the source",
            shown(rejected[is_rejected_held]),
        ),
        *data_issue(
            "accepted_held_out",
            "accepted facts are in valid or test: left there, not moved to train",
            shown(accepted[is_held]),
        ),
        *data_issue(
            "accepted_copies",
            "accepted facts would give a fact of valid or test away, by a symmetric, inverse or "
            "duplicate relation: not moved to train",
            shown(accepted[is_copy]),
        ),
        *data_issue(
            "decisions_of_unknown_labels",
            "decisions are about labels that no fact has: ignored (write labels, not names)",
            (" ".join(map(repr, fact)) for fact in unknown),
        ),
    ]
    verdicts = Counter(each.decision for each in latest.values())
    counts = {
        "lines": len(decisions),
        ACCEPTED: verdicts[ACCEPTED],
        REJECTED: verdicts[REJECTED],
        UNSURE: verdicts[UNSURE],
        "joined_train": int(is_added.sum()),
        "left_train": int(is_removed.sum()),
    }
    return AppliedDecisions(
        facts={**facts, "train": np.concatenate([train[~is_removed], accepted[is_added]])},
        decided={ACCEPTED: accepted[is_copy], REJECTED: rejected[~is_rejected_held]},
        redundancy=redundancy,
        counts=counts if decisions else {},
        issues=issues,
    )


def _find_ids(
    latest: Mapping[LabelFact, Decision], source: SourceGraph
) -> tuple[dict[str, Facts], list[LabelFact]]:
    """Returns accepted and rejected facts as sorted ids, and facts with unknown labels."""
    entities = {label: number for number, label in enumerate(source.entity_labels)}
    relations = {label: number for number, label in enumerate(source.relation_labels)}
    found: dict[str, list[tuple[int, int, int]]] = {ACCEPTED: [], REJECTED: []}
    unknown = []
    for (head, relation, tail), each in sorted(latest.items()):
        if head not in entities or relation not in relations or tail not in entities:
            unknown.append((head, relation, tail))
        elif each.decision in found:
            found[each.decision].append((entities[head], relations[relation], entities[tail]))
    facts = {
        name: np.array(sorted(rows), dtype=np.int64).reshape(-1, 3) for name, rows in found.items()
    }
    return facts, unknown


def _format(source: SourceGraph, fact: Sequence[int]) -> str:
    head, relation, tail = fact
    labels = source.entity_labels
    return f"{labels[head]!r} {source.relation_labels[relation]!r} {labels[tail]!r}"
