"""Decisions about facts with the help of a model, and the queue of facts most worth a look.

The queue has two kinds of facts without a decision. A proposal, a predicted new fact, has the score

    uncertainty * log2(2 + related),    uncertainty = min(p / t, (1 - p) / (1 - t))

with its probability p and the threshold t of its relation (both as in `Completer.score`), and
`related`, the number of other open proposals about its head or about its tail, the smaller one: a
colour is in many proposals, which a decision about one flag hardly changes. The uncertainty is one
at the threshold and zero for a certain fact. A decision about a fact with many related ones changes
most, since they are about the same entities. A suspicious fact of train has its suspicion as score
(`suspicion`), in nats. The two scores do not compare, so the queue takes `PROPOSALS_IN_TURN`
proposals, then one fact of train, and so on.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from imf_core.base.errors import QuestionError
from imf_core.inference.completer import Completer
from imf_core.inference.fact_table import ROLES, select_new
from imf_core.inference.question_file import read_facts
from imf_core.inference.suspicion import find_suspicious
from imf_core.prepare.decisions import Decision, LabelFact, utc_now

PROPOSALS_IN_TURN = 3

PROPOSAL, TRAIN = "proposal", "train"
"""Values of `kind` in the queue."""

QUEUE = pa.schema(
    {
        "kind": pa.string(),
        **{name: pa.string() for role in ROLES for name in (role, f"{role}_name")},
        "probability": pa.float64(),
        "threshold": pa.float64(),
        "related": pa.int64(),
        "score": pa.float64(),
    }
)
"""Columns of the queue: `kind`, labels and names, `probability` and `threshold` as in
`Completer.score`, `related` (other open proposals, see above) and `score`."""


def decide_facts(
    completer: Completer,
    facts: Sequence[tuple[str, str, str]],
    decision: str,
    by: str,
    note: str = "",
    model: str | None = None,
) -> list[Decision]:
    """Makes decisions about facts, with their probabilities of now; `append_decisions` stores them.

    Args:
        completer: Finds the labels, and scores the facts.
        facts: (head, relation, tail) by labels or names, at least one.
        decision: `accepted`, `rejected`, `unsure` or `withdrawn`.
        by: Name of the person.
        note: Reason or source.
        model: First digits of the hash of the model's weights.

    Raises:
        QuestionError: If a name is unknown or ambiguous, or there is no fact.
        ValueError: If `by` is blank, or a value is too long; the message names it.
    """
    at = utc_now()
    scores = completer.score(facts)
    return [
        Decision(
            **{role: row[role] for role in ROLES},
            decision=decision,
            by=by,
            at=at,
            model=model,
            probability=round(row["probability"], 4),
            note=note,
        )
        for row in scores.select([*ROLES, "probability"]).to_pylist()
    ]


def read_decided_facts(path: Path, completer: Completer) -> list[tuple[str, str, str]]:
    """Reads facts of a file, TSV or Parquet, whose ends the graph has.

    Raises:
        QuestionError: As in `read_facts`, or if a head or tail is unknown or ambiguous.
    """
    facts = read_facts(path, completer.relations)
    for number, (head, _, tail) in enumerate(facts, start=1):
        for name in (head, tail):
            try:
                completer.entities.find(name)
            except QuestionError as error:
                raise QuestionError(f"{path}, fact {number}: {error}") from error
    return facts


def find_queue(
    completer: Completer, proposals: pa.Table, decided: Collection[LabelFact], count: int
) -> pa.Table:
    """Returns the facts most worth a look.

    Args:
        completer: The model.
        proposals: Output of `predict_facts`; its new facts are read.
        decided: Facts with a decision, by label; they are left out.
        count: Facts, at most.

    Returns:
        At most `count` rows with the columns of `QUEUE`, the first to be looked at first; the same
        for the same model, proposals and decisions.
    """
    # Some may be decided, so that more than one in four may be needed.
    suspicious = find_suspicious(completer.graph, completer.scorer, count + len(decided))
    return order_queue(completer, proposals, suspicious, decided, count)


def order_queue(
    completer: Completer,
    proposals: pa.Table,
    suspicious: pa.Table,
    decided: Collection[LabelFact],
    count: int,
) -> pa.Table:
    """Orders the queue; see `find_queue`.

    Args:
        completer: Gives thresholds and probabilities.
        proposals: Output of `predict_facts`; its new facts are read.
        suspicious: Output of `find_suspicious`.
        decided: Facts with a decision, by label.
        count: Facts, at most.
    """
    open_proposals = _without(select_new(proposals, 0.0), decided)
    open_suspects = _without(
        suspicious.filter(pc.greater(suspicious["suspicion"], 0.0)), decided
    ).slice(0, count)
    ends = [{head, tail} for head, _, tail in _list_labels(open_proposals)]
    about = Counter(end for pair in ends for end in pair)
    first = _score(completer, PROPOSAL, open_proposals, about)
    uncertainty = _find_uncertainty(first["probability"].to_numpy(), first["threshold"].to_numpy())
    score = uncertainty * np.log2(2 + first["related"].to_numpy())
    first = first.append_column(QUEUE.field("score"), pa.array(score))
    first = first.take(np.argsort(-score, kind="stable")[:count])
    second = _score(completer, TRAIN, open_suspects, about)
    second = second.append_column(QUEUE.field("score"), open_suspects["suspicion"])
    order = _take_turns(len(first), len(second))[:count]
    return pa.concat_tables([first, second]).take(pa.array(order, pa.int64()))


def _list_labels(facts: pa.Table) -> list[LabelFact]:
    return list(zip(*(facts[role].to_pylist() for role in ROLES), strict=True))


def _without(facts: pa.Table, decided: Collection[LabelFact]) -> pa.Table:
    """Returns the facts without a decision."""
    known = set(decided)
    return facts.filter(pa.array([each not in known for each in _list_labels(facts)], pa.bool_()))


def _find_uncertainty(
    probability: NDArray[np.float64], threshold: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns how near each probability is to its threshold, from 0 to 1, shape: (N,)."""
    tiny = np.finfo(np.float64).tiny
    below = probability / np.maximum(threshold, tiny)
    above = (1 - probability) / np.maximum(1 - threshold, tiny)
    found: NDArray[np.float64] = np.minimum(below, above)
    return np.clip(found, 0.0, 1.0)


def _score(completer: Completer, kind: str, facts: pa.Table, about: Counter[str]) -> pa.Table:
    """Returns rows of the queue without `score`.

    Args:
        completer: Scores the facts.
        kind: `proposal` or `train`.
        facts: With labels.
        about: Entity -> number of open proposals about it.
    """
    labels = _list_labels(facts)
    if not labels:
        return QUEUE.empty_table().drop("score")
    scored = completer.score(labels)
    own = kind == PROPOSAL
    related = [min(about[head], about[tail]) - own for head, _, tail in labels]
    columns = {name: scored[name] for name in QUEUE.names if name in scored.column_names}
    columns |= {"kind": [kind] * len(labels), "related": related}
    schema = pa.schema([field for field in QUEUE if field.name != "score"])
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def _take_turns(proposals: int, suspects: int) -> list[int]:
    """Returns positions in a table of proposals and then suspects, in turn."""
    order: list[int] = []
    first, second = 0, 0
    while first < proposals or second < suspects:
        turn = min(PROPOSALS_IN_TURN, proposals - first)
        order += range(first, first + turn)
        first += turn
        if second < suspects:
            order.append(proposals + second)
            second += 1
    return order
