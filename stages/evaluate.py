"""Stage `evaluate`: filtered ranks, metrics and calibration data of valid and test."""

from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from imf_core.base.artifacts import write_csv, write_json, write_parquet
from imf_core.base.config import EvaluateParams
from imf_core.base.device import Processes, explain_out_of_memory, resolve_device
from imf_core.base.modality import find_modalities
from imf_core.base.params_file import load_params
from imf_core.evaluation.metrics import (
    brier_score,
    by_degree,
    by_media,
    by_relation,
    calibration_error,
    overall_metrics,
    rank_rows,
    reliability_rows,
    summarize_metrics,
)
from imf_core.evaluation.ranking import RankingScorer, RankTable, rank_triples
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import known_tails_in
from imf_core.model.saved import load_calibration, load_model
from imf_core.model.scorer import Scorer
from imf_core.training.calibration_fit import (
    CalibrationData,
    collect_calibration_data,
    sample_evenly,
)
from stages.inputs import load_inputs
from stages.paths import EVALUATION, METRICS, MODEL, PARAMS, RANKS
from stages.runner import run_stage
from stages.torchrun import run_in_processes

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


def main() -> None:
    """Writes `results/evaluation`."""
    params = load_params(PARAMS).evaluate
    device = resolve_device(params.device, "evaluate.device")
    work = partial(_evaluate, params, device)
    run_in_processes("evaluate", "evaluate", params.processes, device, work)


def _evaluate(params: EvaluateParams, device: torch.device, processes: Processes) -> None:
    """Ranks in all processes; the first one writes."""
    graph, tables = load_inputs()
    with explain_out_of_memory("lower evaluate.batch_size or, on a GPU, set evaluate.device: cpu"):
        model = load_model(MODEL, graph, tables).to(device)
        scorer = Scorer(model, processes)
        ranked = rank_held_out(scorer, graph, params.batch_size)
        if processes.is_first:
            calibration_data = _collect_calibration_data(
                scorer if processes.count == 1 else Scorer(model), graph, params
            )
            _write(ranked, calibration_data, graph, tables)


def _collect_calibration_data(
    scorer: Scorer, graph: Graph, params: EvaluateParams
) -> CalibrationData:
    """Collects the best answers to the questions of test."""
    known = known_tails_in(graph, ("train", "valid"))
    test = graph.triples["test"]
    if (used := len(sample_evenly(test, graph.num_entities))) < len(test):
        print(f"the reliability of probabilities uses a sample of {used:,} of {len(test):,} facts")
    return collect_calibration_data(
        scorer, test, test, known, graph.num_relations, params.batch_size
    )


def _write(
    ranked: dict[str, RankTable],
    calibration_data: CalibrationData,
    graph: Graph,
    tables: dict[str, FeatureTable],
) -> None:
    """Writes ranks and metrics of both splits, and breakdowns of test."""
    test = ranked["test"]
    is_present = {
        name: each.is_present.numpy()
        for name, each in tables.items()
        if find_modalities()[name].is_automatic or bool(each.is_present.any())
    }
    metrics: dict[str, Any] = {**measure_held_out(ranked)}
    metrics["calibration"] = _write_reliability(calibration_data)
    metrics["test_digest"] = graph.test_digest
    write_csv(EVALUATION / "by_relation.csv", by_relation(test, graph))
    write_csv(EVALUATION / "by_degree.csv", by_degree(test, graph))
    write_csv(EVALUATION / "by_media.csv", by_media(test, is_present))
    write_ranks(ranked, graph, EVALUATION)
    write_json(EVALUATION / METRICS, metrics)
    write_json(EVALUATION / "summary.json", summarize_metrics(metrics))
    print(f"test MRR {metrics['test']['mrr']:.4f} over {len(graph.triples['test'])} facts")


def _write_reliability(calibration_data: CalibrationData) -> dict[str, float]:
    """Writes reliability before and after calibration; returns errors and Brier scores."""
    probabilities = {
        "as scored": calibration_data.log_probs.exp().numpy(),
        "calibrated": load_calibration(MODEL).probability(calibration_data.log_odds).numpy(),
    }
    is_true = calibration_data.is_true.numpy()
    rows = [reliability_rows(kind, each, is_true) for kind, each in probabilities.items()]
    write_csv(EVALUATION / "reliability.csv", chain.from_iterable(rows))
    measures = {"error": calibration_error, "brier": brier_score}
    return {
        f"{name}_{kind.replace(' ', '_')}": measure(each, is_true)
        for name, measure in measures.items()
        for kind, each in probabilities.items()
    }


if __name__ == "__main__":
    run_stage(main)
