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
from imf_core.graph.graph import Graph
from imf_core.inference.completer import Completer
from imf_core.inference.fact_table import ROLES, select_new
from imf_core.inference.names import Names, find_facts
from imf_core.inference.question_file import read_facts
from imf_core.inference.suspicion import find_suspicious
from imf_core.prepare.decisions import Decision, LabelFact, utc_now

PROPOSALS_IN_TURN = 3

MAX_SUSPECTS = 500
"""Facts of train in the queue, the most suspicious ones."""

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
    facts: Sequence[LabelFact],
    decision: str,
    by: str,
    note: str = "",
    completer: Completer | None = None,
    model: str | None = None,
) -> list[Decision]:
    """Makes decisions about facts; `append_decisions` stores them.

    Args:
        facts: (head, relation, tail) by labels, at least one.
        decision: `accepted`, `rejected`, `unsure` or `withdrawn`.
        by: Name of the person.
        note: Reason or source.
        completer: Gives the facts their probabilities of now; None for none.
        model: First digits of the hash of the model's weights, None without one.

    Raises:
        ValueError: If `by` is blank, or a value is too long; the message names it.
    """
    at = utc_now()
    probabilities: list[float | None] = [None] * len(facts)
    if completer is not None:
        found = completer.score(facts)["probability"].to_pylist()
        probabilities = [round(each, 4) for each in found]
    return [
        Decision(
            **dict(zip(ROLES, fact, strict=True)),
            decision=decision,
            by=by,
            at=at,
            model=model,
            probability=probability,
            note=note,
        )
        for fact, probability in zip(facts, probabilities, strict=True)
    ]


def label_facts(graph: Graph, facts: Sequence[tuple[str, str, str]]) -> list[LabelFact]:
    """Returns facts by labels.

    Args:
        graph: The graph.
        facts: (head, relation, tail) by labels or names.

    Raises:
        QuestionError: If a name is unknown or ambiguous; of several facts, the message has the
            number of the fact.
    """
    entities = Names("entity", graph.entity_labels, graph.entity_names)
    relations = Names("relation", graph.relation_labels, graph.relation_names)
    found = []
    for number, fact in enumerate(facts, start=1):
        try:
            ((head, relation, tail),) = find_facts([fact], entities, relations)
        except QuestionError as error:
            raise (
                error if len(facts) == 1 else QuestionError(f"fact {number}: {error}")
            ) from error
        labels = graph.entity_labels
        found.append((labels[head], graph.relation_labels[relation], labels[tail]))
    return found


def read_decided_facts(path: Path, graph: Graph) -> list[LabelFact]:
    """Reads facts of a file, TSV or Parquet. The graph must have their heads and tails.

    Raises:
        QuestionError: As in `read_facts`, or if a head or tail is unknown or ambiguous.
    """
    relations = Names("relation", graph.relation_labels, graph.relation_names)
    facts = read_facts(path, relations)
    try:
        return label_facts(graph, facts)
    except QuestionError as error:
        raise QuestionError(f"{path}, {error}") from error


class Queue:
    """The queue of a model; its facts are scored once.

    Args:
        completer: The model.
        proposals: Output of `predict_facts`; its new facts are read.
    """

    def __init__(self, completer: Completer, proposals: pa.Table) -> None:
        self._proposals = _score(completer, PROPOSAL, select_new(proposals, 0.0))
        suspicious = find_suspicious(completer.graph, completer.scorer, MAX_SUSPECTS)
        suspicious = suspicious.filter(pc.greater(suspicious["suspicion"], 0.0))
        self._suspects = _score(completer, TRAIN, suspicious)
        self._suspicion = suspicious["suspicion"].to_numpy()

    def find_first(self, decided: Collection[LabelFact], count: int) -> pa.Table:
        """Returns the facts most worth a look; see `find_queue`."""
        is_open = _is_open(self._proposals, decided)
        proposals = self._proposals.filter(is_open)
        ends = [{head, tail} for head, _, tail in _list_labels(proposals)]
        about = Counter(end for pair in ends for end in pair)
        probability, threshold = (
            proposals[name].to_numpy() for name in ("probability", "threshold")
        )
        related = _count_related(proposals, about, own=1)
        score = _find_uncertainty(probability, threshold) * np.log2(2 + related)
        best = np.argsort(-score, kind="stable")[:count]
        first = _write(proposals, related, score).take(best)

        is_open = _is_open(self._suspects, decided)
        suspects = self._suspects.filter(is_open)
        related = _count_related(suspects, about, own=0)
        second = _write(suspects, related, self._suspicion[is_open])
        order = _take_turns(len(first), len(second))[:count]
        return pa.concat_tables([first, second]).take(pa.array(order, pa.int64()))


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
    return Queue(completer, proposals).find_first(decided, count)


def _list_labels(facts: pa.Table) -> list[LabelFact]:
    return list(zip(*(facts[role].to_pylist() for role in ROLES), strict=True))


def _is_open(facts: pa.Table, decided: Collection[LabelFact]) -> NDArray[np.bool_]:
    """Returns which facts have no decision, shape: (N,)."""
    known = set(decided)
    return np.array([each not in known for each in _list_labels(facts)], dtype=bool)


def _count_related(facts: pa.Table, about: Counter[str], own: int) -> NDArray[np.int64]:
    """Returns the numbers `related`, shape: (N,).

    Args:
        facts: With labels.
        about: Entity -> number of open proposals about it.
        own: One if the facts are among these proposals, else zero.
    """
    related = [min(about[head], about[tail]) - own for head, _, tail in _list_labels(facts)]
    return np.array(related, dtype=np.int64)


def _find_uncertainty(
    probability: NDArray[np.float64], threshold: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns how near each probability is to its threshold, from 0 to 1, shape: (N,)."""
    tiny = np.finfo(np.float64).tiny
    below = probability / np.maximum(threshold, tiny)
    above = (1 - probability) / np.maximum(1 - threshold, tiny)
    found: NDArray[np.float64] = np.minimum(below, above)
    return np.clip(found, 0.0, 1.0)


def _score(completer: Completer, kind: str, facts: pa.Table) -> pa.Table:
    """Returns rows of the queue without `related` and `score`."""
    schema = pa.schema([field for field in QUEUE if field.name not in {"related", "score"}])
    labels = _list_labels(facts)
    if not labels:
        return schema.empty_table()
    scored = completer.score(labels).append_column("kind", pa.array([kind] * len(labels)))
    return scored.select(schema.names).cast(schema)


def _write(facts: pa.Table, related: NDArray[np.int64], score: NDArray[np.float64]) -> pa.Table:
    """Returns rows of the queue."""
    table = facts.append_column("related", pa.array(related, pa.int64()))
    return table.append_column("score", pa.array(score, pa.float64())).cast(QUEUE)


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
