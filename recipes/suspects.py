"""Measures how many corrupted facts of train are found: `python -m recipes.suspects`.

Corrupts facts of the workspace's train at a seed, trains the model as the stage `train` does, and
counts the corrupted ones among as many most suspicious facts. The parameters are those of
params.yaml and `results/tuning/chosen.json`; a training of `atlas` takes about a minute.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imf_core.base.config import Params, TrainingSpec
from imf_core.base.params_file import load_params
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import known_tails_in
from imf_core.graph.labels import SPLITS
from imf_core.inference.fact_scores import FactScorer
from imf_core.inference.plausibility import FurtherAnswers
from imf_core.inference.suspicion import rate_train
from imf_core.model.decision import Calibration
from imf_core.model.saved import build_model
from imf_core.model.scorer import Scorer
from imf_core.training.settle import settle_model, settle_train
from imf_core.training.trainer import Trainer
from recipes.environment import make_table
from recipes.negatives import draw_of_role, draw_random
from stages.inputs import load_inputs
from stages.paths import PARAMS
from stages.runner import run_stage
from stages.training import read_chosen

KINDS = {"any entity": draw_random, "an entity of the same role": draw_of_role}
"""What replaces head or tail of a fact."""


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        "python -m recipes.suspects",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", default=[3, 4, 5])
    parser.add_argument("--count", type=int, default=50, help="facts corrupted (50)")
    given = parser.parse_args()
    graph, tables = load_inputs()
    rows = []
    for kind in KINDS:
        found = [_measure(graph, tables, kind, given.count, seed) for seed in given.seeds]
        rows += [
            [
                kind,
                rule,
                *(str(each[rule]) for each in found),
                f"{np.mean([e[rule] for e in found]):.1f}",
            ]
            for rule in found[0]
        ]
    titles = ["replaced by", "rule", *(f"seed {seed}" for seed in given.seeds), "mean"]
    print("\n".join(make_table(titles, rows)))


def _measure(
    graph: Graph, tables: Mapping[str, FeatureTable], kind: str, count: int, seed: int
) -> dict[str, int]:
    """Returns the number of corrupted facts among the first ones, by rule."""
    corrupted, places = corrupt_train(graph, kind, count, seed)
    scorer = Scorer(train_model(corrupted, tables, load_params(PARAMS), seed).model)
    found = {
        rule: int(np.isin(np.argsort(-values, kind="stable")[:count], places).sum())
        for rule, values in rate_by_rules(corrupted, scorer).items()
    }
    print(f"{kind}, seed {seed}: {found}", file=sys.stderr, flush=True)
    return found


def corrupt_train(
    graph: Graph, kind: str, count: int, seed: int
) -> tuple[Graph, NDArray[np.int64]]:
    """Replaces head or tail of some facts of train.

    Args:
        graph: The graph.
        kind: One of `KINDS`.
        count: Number of facts.
        seed: Of the choice of facts and of what replaces an end.

    Returns:
        The graph with the corrupted train, in the same order, and positions of the corrupted facts,
        shape: (count,), dtype: int64.
    """
    generator = torch.Generator().manual_seed(seed)
    train = graph.triples["train"].clone()
    places: list[int] = []
    for place in torch.randperm(len(train), generator=generator).tolist():
        if len(places) == count:
            break
        false = _replace_end(graph, kind, train[place], seed + len(places), generator)
        if false is not None and not bool((train == false).all(dim=1).any()):
            train[place] = false
            places.append(place)
    return replace(graph, triples={**graph.triples, "train": train}), np.array(places)


def _replace_end(
    graph: Graph, kind: str, fact: Tensor, seed: int, generator: torch.Generator
) -> Tensor | None:
    """Returns the fact with another tail or head, None where there is none."""
    drawn = KINDS[kind](graph, fact[None], SPLITS, seed)
    if len(drawn) < 2:
        return None
    return drawn[int(torch.randint(2, (), generator=generator))]


def train_model(
    graph: Graph, tables: Mapping[str, FeatureTable], params: Params, seed: int
) -> Trainer:
    """Trains a model as the stage `train` does, without paths.

    Args:
        graph: Train and valid are read.
        tables: Features by modality.
        params: With `auto` where `results/tuning/chosen.json` has a value.
        seed: Of the training.
    """
    chosen = read_chosen(params.model, params.train)
    spec = TrainingSpec(
        model=settle_model(params.model, chosen),
        fusion=params.fusion,
        decision=params.decision,
        train=settle_train(params.train, chosen).model_copy(update={"seed": seed}),
    )
    torch.manual_seed(seed)
    model = build_model(graph, tables, spec.model, spec.fusion)
    trainer = Trainer(model, graph, spec)
    trainer.fit()
    return trainer


def rate_by_rules(graph: Graph, scorer: Scorer) -> dict[str, NDArray[np.float64]]:
    """Returns the rating of each fact of train by rule, higher is more suspicious, shape: (N,)."""
    rated = rate_train(graph, scorer)
    known, further = known_tails_in(graph, ["train"]), FurtherAnswers(graph)
    neutral = Calibration(slope=1.0, offset=0.0, shown=1, answers=1, true_answers=1)
    scores = FactScorer(scorer, neutral, known, further).score(torch.from_numpy(rated.facts))
    return {
        "`imf check --train`": rated.suspicion,
        "affinity of both ends alone": -np.log(rated.affinity.astype(np.float64)).sum(axis=1),
        "image and text alone": rated.surprise,
        "fit of the model": -scores.log_probs.double().mean(dim=1).numpy(),
    }


if __name__ == "__main__":
    run_stage(main)
