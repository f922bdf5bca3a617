"""Synthetic measurements and ranks for tests."""

from typing import Any

import numpy as np

from imf_core.evaluation.ranking import COMBINED, RankTable
from recipes.store import Basis, Measurement, ModelRun


def make_basis(
    seed: int = 0,
    epochs: int = 10,
    graph: str = "a graph",
    features: dict[str, str] | None = None,
) -> Basis:
    """Makes the basis of a measurement."""
    return Basis({"train": {"seed": seed, "epochs": epochs}}, graph, features or {})


def make_measurement(
    row: str = "full", seed: int = 0, mrr: float = 0.5, **changes: Any
) -> Measurement:
    """Makes a measurement of atlas, of a model with two channels."""
    metrics = {"mrr": mrr, "hits_at_1": 0.25, "hits_at_3": 0.5, "hits_at_10": 0.75}
    curve = [
        {"epoch": epoch, "loss": 2.0, "valid_mrr": mrr, "valid_mrr_structural": 0.3}
        for epoch in (5, 10)
    ]
    return Measurement(
        **{
            "dataset": "atlas",
            "row": row,
            "seed": seed,
            "overrides": {"dataset.name": "atlas"},
            "modalities": ["structure", "text"],
            "command": f"imf measure atlas --rows {row} --seeds {seed}",
            "environment": {"cpu": "abacus", "device": "cpu", "torch": "2", "commit": "abc"},
            "threads": 1,
            "basis": make_basis(seed),
            "models": [ModelRun(seed, 5, 10, 60.0, 70.0, curve)],
            "weights": {"structural": 0.6, "textual": 0.4},
            "test": {**metrics, "tail": metrics, "head": {**metrics, "mrr": 0.125}},
            "valid": metrics,
            "by_degree": [
                {"train_facts_of_query_entity": name, "queries": 1200, "mrr": mrr}
                for name in ("0", "1-2")
            ],
            "by_media": [
                {"modality": "text", "entity": "query", "has_it": has, "queries": 7, "mrr": mrr}
                for has in ("yes", "no")
            ],
            **changes,
        }
    )


def make_ranks(rank: float) -> RankTable:
    """Makes ranks of three facts, all the same."""
    ranks = np.full(6, rank)
    return RankTable(
        queries=np.zeros((6, 2), dtype=np.int64),
        answers=np.zeros(6, dtype=np.int64),
        is_head_query=np.arange(6) >= 3,
        ranks={"structural": ranks, COMBINED: ranks},
        num_candidates=np.full(6, 9),
    )
