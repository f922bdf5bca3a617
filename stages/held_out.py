"""Ranks valid and test, and writes ranks and metrics, for the stages that rank."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from imf_core.artifacts import write_parquet
from imf_core.data.graph import Graph
from imf_core.data.known_tails import known_tails_in
from imf_core.evaluation.ranking import RankingScorer, RankTable, rank_triples
from imf_core.evaluation.report import overall_metrics, rank_rows
from stages.layout import RANKS

_HELD_OUT = ("valid", "test")


def rank_held_out(scorer: RankingScorer, graph: Graph, batch_size: int) -> dict[str, RankTable]:
    """Ranks every fact of valid and test in both directions, filtered by all known facts."""
    known = known_tails_in(graph)
    return {
        split: rank_triples(
            scorer, graph.triples[split], known, graph.num_relations, batch_size, split
        )
        for split in _HELD_OUT
    }


def measure_held_out(ranked: dict[str, RankTable]) -> dict[str, Any]:
    """Returns the metrics of each split."""
    return {split: overall_metrics(table) for split, table in ranked.items()}


def write_ranks(ranked: dict[str, RankTable], graph: Graph, folder: Path) -> None:
    """Writes `ranks.parquet` into `folder`."""
    ranks = [rank_rows(table, graph, split) for split, table in ranked.items()]
    write_parquet(folder / RANKS, pa.concat_tables(ranks))
