"""Examples on the page: new, mistaken and suspicious facts, and the table of relations."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from imf_core.base.errors import DataError
from imf_core.base.terminal import track
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import known_tails_in
from imf_core.graph.labels import BETWEEN_LABELS
from imf_core.inference.answers import concatenate, find_answers
from imf_core.inference.fact_table import LEAST_PROBABILITY, read_shares, select_new
from imf_core.inference.suspicion import rate_train
from imf_core.model.decision import Calibration
from imf_core.model.scorer import Scorer
from imf_core.report.comparison import Ranked, compare_by_relation, format_channel
from imf_core.report.curves import read_csv
from imf_core.report.diagrams import Diagram, LabelIds, draw_best_paths

NEW_FACTS, MISTAKES = 12, 8
"""Shown at most, of different relations as far as there are."""

DOUBTFUL_FACTS = 4
"""New facts shown where none is probable."""

SUSPECTS = 12
"""Facts of train that look wrong, shown at most."""

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
        paths: To the entity asked for, best first.
    """

    head: int
    relation: int
    tail: int
    asked_for: str
    probability: float
    shares: Shares
    paths: list[Diagram]


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
        paths: To that answer: the best one, if there is any.
    """

    head: int
    relation: int
    tail: int
    asked_for: str
    rank: float
    preferred: int
    probability: float
    shares: Shares
    paths: list[Diagram]


@dataclass(frozen=True)
class Suspect:
    """A fact of train that looks wrong; the shares are those of `Suspicions`.

    Attributes:
        head: Entity id.
        relation: Relation id.
        tail: Entity id.
        suspicion: In nats.
        affinity_head: Share of the entities similar to the head that have the relation.
        affinity_tail: The same of the tail.
        further: Share of questions with as many other answers that have one more.
        surprise: Of the channels of features, in nats.
    """

    head: int
    relation: int
    tail: int
    suspicion: float
    affinity_head: float
    affinity_tail: float
    further: float
    surprise: float


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
    ids = LabelIds(graph)
    new = select_new(predictions, LEAST_PROBABILITY)
    if not len(new):
        new = select_new(predictions, 0).slice(0, DOUBTFUL_FACTS)
    rows = new.slice(0, CONSIDERED).to_pylist()
    chosen = [rows[place] for place in spread([row["relation"] for row in rows], NEW_FACTS)]
    return [
        NewFact(
            ids.entities[row["head"]],
            ids.relations[row["relation"]],
            ids.entities[row["tail"]],
            row["asked_for"],
            row["probability"],
            _name_shares(read_shares(row)),
            ids.draw(
                ids.entities[row["head" if row["asked_for"] == "tail" else "tail"]], row["reasons"]
            ),
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
    places = worst[spread([tuple(queries[row, 1:]) for row in worst], EXAMINED)]
    if not len(places):
        return []
    known, asked = known_tails_in(graph), torch.from_numpy(queries[places])
    batches = asked.split(scorer.probability_batch_size(AT_ONCE))
    preferred = concatenate(
        find_answers(scorer, calibration, batch, known, count=1)
        for batch in track(batches, "report, batches of mistakes", len(batches))
    )
    assert len(preferred.tail) == len(places), "ten candidates or more stand above a bad rank"
    order = torch.argsort(preferred.probability, descending=True, stable=True).tolist()
    places_of_kinds = spread([int(ranked.facts[places[each], 1]) for each in order], MISTAKES)
    shown = [order[place] for place in places_of_kinds]
    answered = torch.cat([asked[shown], preferred.tail[shown, None]], dim=1)
    found = []
    for each, paths in zip(shown, draw_best_paths(scorer, graph, answered), strict=True):
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
                paths,
            )
        )
    return found


def choose_suspects(graph: Graph, scorer: Scorer) -> list[Suspect]:
    """Chooses the most suspicious facts of train.

    Args:
        graph: Train is read.
        scorer: The model trained on it.
    """
    rated = rate_train(graph, scorer)
    columns = zip(
        rated.facts.tolist(),
        rated.suspicion.tolist(),
        rated.affinity.tolist(),
        rated.further.tolist(),
        rated.surprise.tolist(),
        strict=True,
    )
    suspects = [
        Suspect(head, relation, tail, suspicion, of_head, of_tail, further, surprise)
        for (head, relation, tail), suspicion, (of_head, of_tail), further, surprise in columns
    ]
    return sorted(suspects, key=lambda each: -each.suspicion)[:SUSPECTS]


def spread(kinds: Sequence[Any], count: int) -> list[int]:
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


MAX_ROWS = 250
MAX_REDUNDANT = 20

_COLUMNS = {
    "relation": str,
    "name": str,
    "train_facts": int,
    "cardinality": str,
    "symmetric": str,
    "inverse_of": str,
    "duplicate_of": str,
}


@dataclass(frozen=True)
class RelationRow:
    """One relation of test; figures are MRR, None where nothing was asked.

    Attributes:
        name: For people.
        cardinality: 1-1, 1-n, n-1 or n-n, as counted in train.
        train_facts: How many.
        questions: Of test, both directions.
        mrr: Of the full model.
        tail: Where the tail was asked for.
        head: Where the head was asked for.
        baseline: Of structure alone.
        gain: Of the full model over structure alone.
    """

    name: str
    cardinality: str
    train_facts: int
    questions: int
    mrr: float
    tail: float | None
    head: float | None
    baseline: float | None
    gain: float | None


def read_relations(path: Path, graph: Graph) -> list[dict[str, Any]]:
    """Reads what each relation is like; those of one name get their label added to it.

    Args:
        path: `results/data_relations.csv`.
        graph: The prepared graph.

    Returns:
        Rows in id order.

    Raises:
        DataError: If the file is missing, damaged or of another graph.
    """
    described = read_csv(path, _COLUMNS)
    if [row["relation"] for row in described] != graph.relation_labels:
        raise DataError(
            f"{path} has other relations than the graph; delete it and run `dvc repro` to make it "
            "again"
        )
    counts = Counter(row["name"] for row in described)
    for row in described:
        if counts[row["name"]] > 1:
            row["name"] = f"{row['name']} ({row['relation']})"
    return described


def make_relation_rows(
    described: Sequence[Mapping[str, Any]], full: Ranked, baseline: Ranked | None
) -> list[RelationRow]:
    """Returns a row per relation that test asks about, most questions first.

    Args:
        described: Of `results/data_relations.csv`, in id order.
        full: Ranks of the full model.
        baseline: Ranks of structure alone, of the same facts.
    """
    rows = [
        RelationRow(
            described[relation]["name"],
            described[relation]["cardinality"],
            described[relation]["train_facts"],
            both.queries,
            both.full,
            tail.full if tail.queries else None,
            head.full if head.queries else None,
            both.baseline,
            both.gain,
        )
        for relation, both, tail, head in compare_by_relation(full, baseline, len(described))
    ]
    return sorted(rows, key=lambda row: -row.questions)


def format_redundancy(described: Sequence[Mapping[str, Any]]) -> list[str]:
    """Says which relations are symmetric, inverse or duplicate, at most `MAX_REDUNDANT`.

    Args:
        described: Of `results/data_relations.csv`.
    """
    names = {row["relation"]: row["name"] for row in described}
    sentences = []
    for row in described:
        if row["symmetric"] == "yes":
            sentences.append(f"{row['name']} is symmetric")
        for key, words in (
            ("inverse_of", "is the inverse of"),
            ("duplicate_of", "says the same as"),
        ):
            others = [names.get(each, each) for each in row[key].split(BETWEEN_LABELS) if each]
            if others:
                sentences.append(f"{row['name']} {words} {', '.join(others)}")
    return sentences[:MAX_REDUNDANT]
