"""Facts to look at: confident new ones, and held-out ones that the model ranks badly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from imf_core.data.graph import Graph
from imf_core.data.known_tails import known_tails_in
from imf_core.inference.answers import concatenate, find_answers
from imf_core.inference.fact_table import LEAST_PROBABILITY, read_shares, select_new
from imf_core.model.calibration import Calibration
from imf_core.model.scorer import Scorer
from imf_core.report.comparison import format_channel
from imf_core.report.ranked import Ranked

NEW_FACTS, MISTAKES = 12, 8
"""Shown at most, of different relations as far as there are."""

DOUBTFUL_FACTS = 4
"""New facts shown where none is probable."""

BAD_RANK = 10
"""A fact ranked below it is a mistake."""

EXAMINED = 200
"""Badly ranked facts that the model is asked about again."""

AT_ONCE = 64
"""Of them, in one batch."""

CONSIDERED = 5000
"""Predictions among which facts of many relations are looked for."""

Shares = list[tuple[str, float]]


@dataclass(frozen=True)
class PredictionCounts:
    """How many facts were predicted; `probable` are those of `LEAST_PROBABILITY` or more.

    Attributes:
        total: All of them.
        new: Of these, those that no split holds.
        probable: Of all.
        probable_new: Of those that no split holds.
    """

    total: int
    new: int
    probable: int
    probable_new: int


@dataclass(frozen=True)
class NewFact:
    """A predicted fact that no split holds.

    Attributes:
        head: Entity id.
        relation: Relation id.
        tail: Entity id.
        asked_for: `head` or `tail`.
        probability: Calibrated.
        shares: Share of each channel of the model, largest first; those that have one.
    """

    head: int
    relation: int
    tail: int
    asked_for: str
    probability: float
    shares: Shares


@dataclass(frozen=True)
class Mistake:
    """A test fact that the model ranks badly.

    Attributes:
        head: Entity id.
        relation: Relation id.
        tail: Entity id.
        asked_for: `head` or `tail`: which of the two was to be found.
        rank: Of the true answer.
        preferred: The entity that the model put first.
        probability: Of that answer, calibrated.
        shares: Of the channels in the answer that it put first, largest first.
    """

    head: int
    relation: int
    tail: int
    asked_for: str
    rank: float
    preferred: int
    probability: float
    shares: Shares


def count_predictions(predictions: pa.Table) -> PredictionCounts:
    """Counts the predicted facts, of `predict_facts`."""
    is_probable = pc.greater_equal(predictions["probability"], LEAST_PROBABILITY)
    return PredictionCounts(
        len(predictions),
        len(select_new(predictions, 0)),
        len(predictions.filter(is_probable)),
        len(select_new(predictions, LEAST_PROBABILITY)),
    )


def choose_new_facts(predictions: pa.Table, graph: Graph) -> list[NewFact]:
    """Chooses the most probable new fact of each relation; then the next ones of each.

    Where no new fact has `LEAST_PROBABILITY`, it takes the few most probable ones.

    Args:
        predictions: From `predict_facts`, most probable first.
        graph: Gives the ids of the labels.
    """
    entity_ids = {label: number for number, label in enumerate(graph.entity_labels)}
    relation_ids = {label: number for number, label in enumerate(graph.relation_labels)}
    new = select_new(predictions, LEAST_PROBABILITY)
    if not len(new):
        new = select_new(predictions, 0).slice(0, DOUBTFUL_FACTS)
    rows = new.slice(0, CONSIDERED).to_pylist()
    chosen = [rows[place] for place in _spread([row["relation"] for row in rows], NEW_FACTS)]
    return [
        NewFact(
            entity_ids[row["head"]],
            relation_ids[row["relation"]],
            entity_ids[row["tail"]],
            row["asked_for"],
            row["probability"],
            _name_shares(read_shares(row)),
        )
        for row in chosen
    ]


def find_mistakes(
    scorer: Scorer, calibration: Calibration, graph: Graph, ranked: Ranked
) -> list[Mistake]:
    """Finds badly ranked test facts of which the model was surest that it is something else.

    Args:
        scorer: The trained model.
        calibration: Fitted for it.
        graph: Its graph.
        ranked: Its ranks of test.
    """
    worst = np.flatnonzero(ranked.rank > BAD_RANK)
    worst = worst[np.argsort(-ranked.rank[worst], kind="stable")]
    queries = ranked.queries(graph.num_relations)
    places = worst[_spread([tuple(queries[row, 1:]) for row in worst], EXAMINED)]
    if not len(places):
        return []
    known, asked = known_tails_in(graph), torch.from_numpy(queries[places])
    preferred = concatenate(
        find_answers(scorer, calibration, batch, known, count=1)
        for batch in asked.split(scorer.probability_batch_size(AT_ONCE))
    )
    assert len(preferred.tail) == len(places), "ten candidates or more stand above a bad rank"
    order = torch.argsort(preferred.probability, descending=True, stable=True).tolist()
    spread = _spread([int(ranked.facts[places[each], 1]) for each in order], MISTAKES)
    found = []
    for each in (order[place] for place in spread):
        row = places[each]
        head, relation, tail = ranked.facts[row].tolist()
        shares = dict(zip(scorer.channel_names, preferred.share[each].tolist(), strict=True))
        found.append(
            Mistake(
                head,
                relation,
                tail,
                "head" if ranked.is_head_query[row] else "tail",
                float(ranked.rank[row]),
                int(preferred.tail[each]),
                float(preferred.probability[each]),
                _name_shares(shares),
            )
        )
    return found


def _spread(kinds: Sequence[Any], count: int) -> list[int]:
    """Chooses positions: the first of each kind, then the second of each, and so on.

    Returns:
        At most `count` positions; those of one round in the order of `kinds`.
    """
    seen: dict[Any, int] = {}
    rounds = []
    for place, kind in enumerate(kinds):
        seen[kind] = seen.get(kind, 0) + 1
        rounds.append((seen[kind], place))
    return [place for _, place in sorted(rounds)[:count]]


def _name_shares(shares: Mapping[str, float]) -> Shares:
    """Names the channels that have a share, largest first."""
    named = [(format_channel(name), share) for name, share in shares.items() if share >= 0.005]
    return sorted(named, key=lambda each: -each[1])
