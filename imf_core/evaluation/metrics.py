"""Metrics of a rank table, overall and by parts of the test set, and gains with intervals.

The expected calibration error is the mean distance between probability and share of true answers
over bins of probability, weighted by the bins' answers (Guo et al., ICML 2017, arXiv 1706.04599).

The interval of a gain resamples the tail query and the head query of a fact together. It measures
the variation between test sets of the same kind, not between seeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from imf_core.evaluation.ranking import COMBINED, RankTable
from imf_core.graph.graph import DEGREE_BINS, Graph, count_train_facts, find_degree_bins


def rank_metrics(
    rank: NDArray[np.float64], num_candidates: NDArray[np.int64]
) -> Mapping[str, float]:
    """Computes the metrics of some ranks.

    Args:
        rank: Realistic ranks, at least one, shape: (P,).
        num_candidates: Size of each ranking, shape: (P,).

    Returns:
        `mrr`, `hits_at_1`, `hits_at_3`, `hits_at_10` as fractions in [0, 1], `mean_rank`, and
        `adjusted_mean_rank_index`: 1 is perfect, 0 the expectation of random scores (Berrendorf et
        al., arXiv 2002.06914).
    """
    expected = (num_candidates + 1).mean() / 2
    adjusted = 1 - (rank.mean() - 1) / (expected - 1) if expected > 1 else 1.0
    return {
        "mrr": float((1 / rank).mean()),
        "hits_at_1": float((rank <= 1).mean()),
        "hits_at_3": float((rank <= 3).mean()),
        "hits_at_10": float((rank <= 10).mean()),
        "mean_rank": float(rank.mean()),
        "adjusted_mean_rank_index": float(adjusted),
    }


RESAMPLES = 2000
RESAMPLES_AT_ONCE = 50
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Gain:
    """A mean over facts and its 95 % interval."""

    gain: float
    low: float
    high: float


def average_by_fact(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Averages a value per query over the two queries of each fact.

    Args:
        differences: Values of all tail queries, then of all head queries, shape: (2N,).

    Returns:
        shape: (N,).
    """
    by_fact: NDArray[np.float64] = differences.reshape(2, -1).mean(axis=0)
    return by_fact


def estimate_gain(differences: NDArray[np.float64]) -> Gain:
    """Returns the mean over facts and its interval; deterministic.

    Args:
        differences: Value of each fact, shape: (N,); for fewer than two facts both bounds are the
            mean.
    """
    mean = float(differences.mean())
    if len(differences) < 2:
        return Gain(mean, mean, mean)
    # Here, since it takes a second: training and ranking read this file and need no interval.
    from scipy.stats import bootstrap  # noqa: PLC0415

    interval = bootstrap(
        (differences,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=RESAMPLES_AT_ONCE,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Gain(mean, float(interval.low), float(interval.high))


Mask = NDArray[np.bool_]

SUMMARIZED = ("mrr", "hits_at_1", "hits_at_3", "hits_at_10")
"""Metrics in comparisons of runs."""


def overall_metrics(table: RankTable) -> dict[str, Any]:
    """Returns the metrics of one split.

    Returns:
        The decision's metrics at the top, those of head and tail queries under `head` and `tail`,
        and those of each channel under its name.
    """
    combined = table.ranks[COMBINED]
    result: dict[str, Any] = dict(rank_metrics(combined, table.num_candidates))
    for side, mask in (("head", table.is_head_query), ("tail", ~table.is_head_query)):
        result[side] = rank_metrics(combined[mask], table.num_candidates[mask])
    for name, rank in table.ranks.items():
        if name != COMBINED:
            result[name] = rank_metrics(rank, table.num_candidates)
    return result


def summarize_metrics(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Selects the metrics for comparisons of runs.

    Args:
        metrics: `overall_metrics` of `valid` and `test`; other keys are ignored.

    Returns:
        The metrics named in `SUMMARIZED` of both splits.
    """
    splits = ("valid", "test")
    return {split: {name: metrics[split][name] for name in SUMMARIZED} for split in splits}


def by_relation(table: RankTable, graph: Graph) -> list[dict[str, Any]]:
    """Returns one row per relation and side, in id order."""
    rows = []
    for relation in np.unique(table.queries[:, 1]):
        is_head_query = bool(relation >= graph.num_relations)
        label = graph.relation_labels[relation % graph.num_relations]
        side = "head" if is_head_query else "tail"
        labels = {"relation": label, "side": side, "asked_for": f"{label} ({side})"}
        rows.append(_row(labels, table, table.queries[:, 1] == relation))
    return rows


def by_degree(table: RankTable, graph: Graph) -> list[dict[str, Any]]:
    """Returns one row per bin of the query entity's number of train facts."""
    bins = find_degree_bins(count_train_facts(graph)).numpy()[table.queries[:, 0]]
    rows = []
    for position, (low, high) in enumerate(DEGREE_BINS):
        name = f"{low}+" if high is None else str(low) if low == high else f"{low}-{high}"
        rows.append(_row({"train_facts_of_query_entity": name}, table, bins == position))
    return [row for row in rows if row["queries"]]


def by_media(table: RankTable, is_present: Mapping[str, Mask]) -> list[dict[str, Any]]:
    """Returns rows with and without each modality at the query entity and at the answer.

    Args:
        table: The ranks.
        is_present: Mask of the entities with each modality, by its name, shape: (E,).
    """
    rows = []
    for modality, present in is_present.items():
        for role, entities in (("query", table.queries[:, 0]), ("answer", table.answers)):
            for has, mask in (("yes", present[entities]), ("no", ~present[entities])):
                labels = {"modality": modality, "entity": role, "has_it": has}
                rows.append(_row(labels, table, mask))
    return [row for row in rows if row["queries"]]


def rank_rows(table: RankTable, graph: Graph, split: str) -> pa.Table:
    """Returns one row per query: head, relation, tail, split, side and ranks by channel."""
    relation = table.queries[:, 1] % graph.num_relations
    head = np.where(table.is_head_query, table.answers, table.queries[:, 0])
    tail = np.where(table.is_head_query, table.queries[:, 0], table.answers)
    columns: dict[str, Any] = {
        "head": head,
        "relation": relation,
        "tail": tail,
        "split": pa.array([split] * len(head)),
        "side": pa.array(np.where(table.is_head_query, "head", "tail").tolist()),
        "num_candidates": table.num_candidates,
    }
    columns.update({f"rank_{name}": rank for name, rank in table.ranks.items()})
    return pa.table(columns)


def _row(labels: Mapping[str, str], table: RankTable, mask: Mask) -> dict[str, Any]:
    """Returns the MRR of every channel, and MRR and hits of the decision, over some queries."""
    row: dict[str, Any] = {**labels, "queries": int(mask.sum())}
    if not row["queries"]:
        return row
    combined = rank_metrics(table.ranks[COMBINED][mask], table.num_candidates[mask])
    row["mrr"] = combined["mrr"]
    row["hits_at_10"] = combined["hits_at_10"]
    for name, rank in table.ranks.items():
        if name != COMBINED:
            row[f"mrr_{name}"] = rank_metrics(rank[mask], table.num_candidates[mask])["mrr"]
    return row


NUM_BINS = 10


def reliability_rows(
    kind: str, probability: NDArray[np.float64], is_true: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Compares probability and truth in bins of equal width.

    Args:
        kind: Name of these probabilities.
        probability: In [0, 1], shape: (P,).
        is_true: shape: (P,).

    Returns:
        One row per non-empty bin: `probability` (the kind), the bounds `from` and `to`, `answers`
        (their number), `mean_probability`, `share_true`.
    """
    position = _bins(probability)
    rows = []
    for number in np.unique(position):
        mask = position == number
        rows.append(
            {
                "probability": kind,
                "from": float(number / NUM_BINS),
                "to": float((number + 1) / NUM_BINS),
                "answers": int(mask.sum()),
                "mean_probability": float(probability[mask].mean()),
                "share_true": float(is_true[mask].mean()),
            }
        )
    return rows


def calibration_error(probability: NDArray[np.float64], is_true: NDArray[np.bool_]) -> float:
    """Returns the expected calibration error.

    Args:
        probability: In [0, 1], at least one, shape: (P,).
        is_true: shape: (P,).
    """
    gaps = np.bincount(_bins(probability), probability - is_true, minlength=NUM_BINS)
    return float(np.abs(gaps).sum() / len(probability))


def brier_score(probability: NDArray[np.float64], is_true: NDArray[np.bool_]) -> float:
    """Returns the mean squared difference between probability and truth.

    Unlike the calibration error, it also rewards separating right answers from wrong ones: giving
    every answer the overall share of true answers has no calibration error, but a bad Brier score
    (Brier, Monthly Weather Review 1950, 78(1)).

    Args:
        probability: In [0, 1], at least one, shape: (P,).
        is_true: shape: (P,).
    """
    return float(np.square(probability - is_true).mean())


def _bins(probability: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns the bin of each probability; one is in the last bin."""
    return np.minimum((probability * NUM_BINS).astype(np.int64), NUM_BINS - 1)
