"""Stage `evaluate`: filtered ranks of valid and test, and metrics.

Test is scored only here, with the model selected on valid. With `evaluate.processes`, each process
holds and scores a shard of the entities; the ranks are the same. The first process alone then
measures the calibration of the probabilities.
"""

from functools import partial
from itertools import chain
from typing import Any

import torch

from imf_core.artifacts import write_csv, write_json
from imf_core.config import EvaluateParams, load_params
from imf_core.data.graph import Graph
from imf_core.data.known_tails import known_tails_in
from imf_core.device import explain_out_of_memory, resolve_device
from imf_core.evaluation.ranking import RankTable
from imf_core.evaluation.reliability import brier_score, calibration_error, reliability_rows
from imf_core.evaluation.report import (
    by_degree,
    by_media,
    by_relation,
    summarize_metrics,
)
from imf_core.features.table import FeatureTable
from imf_core.inference.saved_model import load_calibration, load_model
from imf_core.model.scorer import Scorer
from imf_core.processes import Processes
from imf_core.training.calibration_data import CalibrationData, collect_calibration_data
from stages.held_out import measure_held_out, rank_held_out, write_ranks
from stages.inputs import load_inputs
from stages.layout import EVALUATION, METRICS, MODEL, PARAMS
from stages.runner import run_stage
from stages.workers import run_in_processes


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
    is_present = {name: each.is_present.numpy() for name, each in tables.items()}
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
