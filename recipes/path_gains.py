"""Measures what paths bring to the decision: `python -m recipes.path_gains`.

Trains the workspace's model as the stage `train` does and ranks valid and test without paths, with
them (`paths.use: fine-tuned`), and with a second structural model in their place, which takes at
least as long. The parameters are those of params.yaml and `results/tuning/chosen.json`.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from imf_core.base.config import Params
from imf_core.base.params_file import load_params
from imf_core.evaluation.metrics import overall_metrics
from imf_core.evaluation.ranking import COMBINED, RankingScorer, RankTable
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.model.scorer import Scorer
from imf_core.paths.pretrained import find_network
from imf_core.training.paths_fit import fit_paths
from recipes.environment import make_table
from recipes.measurement import fit_ensemble
from recipes.rows import SEEDS_APART
from recipes.store import compute_gain, of_fact
from recipes.suspects import train_model
from stages.evaluate import rank_held_out
from stages.inputs import load_inputs
from stages.paths import PARAMS
from stages.runner import run_stage

WITHOUT, PATHS, SECOND = "without paths", "with paths", "with a second structural model"

T = TypeVar("T")
Ranked = dict[str, RankTable]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        "python -m recipes.path_gains",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", default=[0, 1, 2])
    parser.add_argument("--no-control", action="store_true", help="no second structural model")
    given = parser.parse_args()
    graph, tables = load_inputs()
    params = load_params(PARAMS)
    found, seconds = [], []
    for seed in given.seeds:
        ranked, spent = _measure(graph, tables, params, seed, not given.no_control)
        found.append(ranked)
        seconds.append(spent)
        for name, each in ranked.items():
            print(f"seed {seed}, {name}: {_mrr(each, 'test'):.4f}", file=sys.stderr, flush=True)
    rows = []
    for name in found[0]:
        gain = "" if name == WITHOUT else _gain(given.seeds, found, name)
        values = [
            f"{100 * np.mean(of_seeds):.1f}"
            + (f" ± {100 * np.std(of_seeds, ddof=1):.1f}" if len(of_seeds) > 1 else "")
            for split in ("valid", "test")
            if (of_seeds := [_mrr(ranked[name], split) for ranked in found])
        ]
        rows.append([name, *values, gain, f"{np.mean([spent[name] for spent in seconds]):.0f}"])
    titles = ["decision", "MRR, valid", "MRR, test", "gain on test [95 %]", "processor s"]
    print("\n".join(make_table(titles, rows)))


def _measure(
    graph: Graph, tables: Mapping[str, FeatureTable], params: Params, seed: int, has_control: bool
) -> tuple[dict[str, Ranked], dict[str, float]]:
    """Returns the ranks of valid and test and the processor seconds of each decision."""
    batch_size = params.evaluate.batch_size

    def rank(scorer: RankingScorer) -> Ranked:
        return rank_held_out(scorer, graph, batch_size)

    trainer, of_training = _timed(lambda: train_model(graph, tables, params, seed))
    ranked, seconds = {WITHOUT: rank(Scorer(trainer.model))}, {WITHOUT: of_training}
    if has_control:
        alone = params.model.model_copy(update={"modalities": ["structure"]})
        structure = params.model_copy(update={"model": alone})
        second, seconds[SECOND] = _timed(
            lambda: train_model(graph, tables, structure, seed + SEEDS_APART)
        )
        scorers = [Scorer(trainer.model), Scorer(second.model)]
        ranked[SECOND] = rank(fit_ensemble(scorers, graph, params.decision, batch_size))
    fine_tuned = params.paths.model_copy(update={"use": "fine-tuned"})
    network = find_network(params.paths.weights)
    _, seconds[PATHS] = _timed(lambda: fit_paths(trainer, network, fine_tuned))
    ranked[PATHS] = rank(Scorer(trainer.model))
    return ranked, seconds


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    start = time.process_time()
    return work(), time.process_time() - start


def _mrr(ranked: Ranked, split: str) -> float:
    return float(overall_metrics(ranked[split])["mrr"])


def _gain(seeds: list[int], found: list[dict[str, Ranked]], name: str) -> str:
    inverses = [
        {key: (1 / each["test"].ranks[COMBINED]).astype(np.float32) for key, each in ranked.items()}
        for ranked in found
    ]
    differences = [of_fact(each[name], each[WITHOUT]) for each in inverses]
    pooled = compute_gain(seeds, differences)["pooled"]
    mean, low, high = (100 * value for value in pooled.values())
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


if __name__ == "__main__":
    run_stage(main)
