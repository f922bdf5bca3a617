"""Breakdowns of metrics."""

import json

import numpy as np
import pytest
import torch
from tiny_world import tiny_model

from imf_core.evaluation.metrics import (
    by_degree,
    by_media,
    by_relation,
    overall_metrics,
    rank_metrics,
    rank_rows,
    summarize_metrics,
)
from imf_core.evaluation.ranking import COMBINED, RankTable, rank_triples
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import build_known_tails
from imf_core.model.scorer import Scorer


@pytest.fixture
def table(graph: Graph) -> RankTable:
    facts = torch.cat(list(graph.triples.values()))
    known = build_known_tails(facts, graph.num_entities, graph.num_relations)
    scorer = Scorer(tiny_model())
    return rank_triples(scorer, graph.triples["test"], known, graph.num_relations, batch_size=8)


def weighted_mrr(rows: list[dict[str, float]]) -> float:
    return sum(row["mrr"] * row["queries"] for row in rows) / sum(row["queries"] for row in rows)


def test_the_summary_holds_the_metrics_of_each_split_and_no_channel(table: RankTable) -> None:
    of_split = overall_metrics(table)
    metrics = {"valid": of_split, "test": of_split, "something": {"else": 1.0}}
    summary = summarize_metrics(metrics)
    assert list(summary) == ["valid", "test"]
    assert set(summary["test"]) == {"mrr", "hits_at_1", "hits_at_3", "hits_at_10"}
    assert summary["test"]["mrr"] == metrics["test"]["mrr"]


def test_the_sides_average_to_the_whole(table: RankTable) -> None:
    found = overall_metrics(table)
    assert (found["head"]["mrr"] + found["tail"]["mrr"]) / 2 == pytest.approx(found["mrr"])


def test_the_metrics_of_a_channel_are_those_of_its_ranks(table: RankTable) -> None:
    expected = rank_metrics(table.ranks["visual"], table.num_candidates)
    assert overall_metrics(table)["visual"] == expected


def test_overall_metrics_can_be_written_as_json(table: RankTable) -> None:
    assert json.loads(json.dumps(overall_metrics(table), allow_nan=False))["fused"]


def test_rows_by_relation_sum_up_to_the_whole(table: RankTable, graph: Graph) -> None:
    rows = by_relation(table, graph)
    assert sum(row["queries"] for row in rows) == len(table.answers)
    assert weighted_mrr(rows) == pytest.approx(overall_metrics(table)["mrr"])


def test_a_relation_has_a_row_for_each_side(table: RankTable, graph: Graph) -> None:
    sides = {(row["relation"], row["side"]) for row in by_relation(table, graph)}
    assert sides == {(label, side) for label in graph.relation_labels for side in ("head", "tail")}


def test_rows_by_degree_sum_up_to_the_whole(table: RankTable, graph: Graph) -> None:
    rows = by_degree(table, graph)
    assert sum(row["queries"] for row in rows) == len(table.answers)
    assert weighted_mrr(rows) == pytest.approx(overall_metrics(table)["mrr"])


def test_the_degree_counts_train_facts_in_both_directions(graph: Graph) -> None:
    graph.triples["train"] = torch.tensor([[0, 0, 1], [2, 1, 0], [3, 2, 0]])
    one = np.ones(1, dtype=np.int64)
    table = RankTable(np.array([[0, 1]]), one, np.array([False]), {COMBINED: np.ones(1)}, one)
    assert [row["train_facts_of_query_entity"] for row in by_degree(table, graph)] == ["3-5"]


def test_rows_by_media_sum_up_to_the_whole_for_each_modality_and_role(
    table: RankTable, tables: dict[str, FeatureTable]
) -> None:
    rows = by_media(table, {name: each.is_present.numpy() for name, each in tables.items()})
    for modality in ("image", "text"):
        for role in ("query", "answer"):
            part = [row for row in rows if (row["modality"], row["entity"]) == (modality, role)]
            assert sum(row["queries"] for row in part) == len(table.answers)
            assert weighted_mrr(part) == pytest.approx(overall_metrics(table)["mrr"])


def test_rank_rows_name_the_facts_of_the_split(table: RankTable, graph: Graph) -> None:
    rows = rank_rows(table, graph, "test").to_pylist()
    for side in ("tail", "head"):
        facts = [[r["head"], r["relation"], r["tail"]] for r in rows if r["side"] == side]
        assert facts == graph.triples["test"].tolist()


def test_rank_rows_hold_the_ranks_of_every_scorer(table: RankTable, graph: Graph) -> None:
    rows = rank_rows(table, graph, "test")
    for name, rank in table.ranks.items():
        assert rows[f"rank_{name}"].to_pylist() == rank.tolist()
