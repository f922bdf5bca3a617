"""Metrics of a rank table: overall, by side, channel, relation, degree and media."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from imf_core.data.degrees import DEGREE_BINS, count_train_facts, find_degree_bins
from imf_core.data.graph import Graph
from imf_core.evaluation.metrics import rank_metrics
from imf_core.evaluation.ranking import COMBINED, RankTable

Mask = NDArray[np.bool_]

SUMMARIZED = ("mrr", "hits_at_1", "hits_at_3", "hits_at_10")
"""Metrics by which runs are compared."""


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
    """Selects the metrics by which runs are compared.

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
