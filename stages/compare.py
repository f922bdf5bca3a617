"""Trains each choice of modalities with several seeds and prints a table. Not a stage.

Reads the prepared graph and features of the last `dvc repro`, and `params.yaml` for everything but
`train.seed`; each of its `model.modalities` is tried alone, then all together. Writes nothing.
Each model is selected on valid and then ranks test once.
"""

import argparse
import statistics
from collections.abc import Sequence

import torch

from imf_core.config import Modality, Params, load_params
from imf_core.data.graph import Graph
from imf_core.data.known_tails import known_tails_in
from imf_core.evaluation.ranking import rank_triples
from imf_core.evaluation.report import overall_metrics
from imf_core.features.table import FeatureTable
from imf_core.inference.saved_model import build_model
from imf_core.model.scorer import Scorer
from imf_core.training.trainer import Trainer
from stages.inputs import load_inputs
from stages.layout import PARAMS
from stages.runner import run_stage
from stages.show import COLUMNS


def main() -> None:
    """Prints one line per choice of modalities."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    seeds = parser.parse_args().seeds
    params = load_params(PARAMS)
    graph, tables = load_inputs()
    print("| modalities | " + " | ".join(COLUMNS.values()) + " |")
    print("|---|" + "---|" * len(COLUMNS))
    chosen = params.model.modalities
    choices = [[modality] for modality in chosen] + ([chosen] if len(chosen) > 1 else [])
    for modalities in choices:
        results = [_test_metrics(params, graph, tables, modalities, seed) for seed in seeds]
        cells = [_mean_and_deviation([result[key] for result in results]) for key in COLUMNS]
        print(f"| {' + '.join(modalities)} | " + " | ".join(cells) + " |", flush=True)


def _test_metrics(
    params: Params,
    graph: Graph,
    tables: dict[str, FeatureTable],
    modalities: Sequence[Modality],
    seed: int,
) -> dict[str, float]:
    """Trains one model, selects it on valid, ranks test once."""
    model_params = params.model.model_copy(update={"modalities": list(modalities)})
    train = params.train.model_copy(update={"seed": seed})
    torch.manual_seed(seed)
    model = build_model(graph, tables, model_params, params.fusion)
    Trainer(model, graph, train, params.fusion, params.decision).fit()
    known = known_tails_in(graph)
    scorer = Scorer(model)
    table = rank_triples(
        scorer, graph.triples["test"], known, graph.num_relations, params.evaluate.batch_size
    )
    return overall_metrics(table)


def _mean_and_deviation(values: Sequence[float]) -> str:
    """Words mean and standard deviation over seeds, in per cent."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{100 * statistics.fmean(values):.1f} ± {100 * deviation:.1f}"


if __name__ == "__main__":
    run_stage(main)
