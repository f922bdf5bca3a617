"""Measures the gain of the fused channel on a synthetic graph: `python -m recipes.fused`.

The graph has 600 objects with a picture each. Some relations follow from the picture alone (colour,
shape), some from the facts alone (region), and two from both: `twin` (same colour, same region) and
`team` (one for each region and shape). The control is two models without fused channel under one
decision, which cost about as much as one model with it.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imf_core.base.config import SettledParams
from imf_core.base.sections import validate
from imf_core.evaluation.metrics import rank_metrics
from imf_core.evaluation.ranking import COMBINED, rank_triples
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import known_tails_in
from imf_core.model.saved import build_model
from imf_core.model.scorer import Scorer
from imf_core.training.trainer import Trainer
from recipes.measurement import fit_ensemble
from recipes.recipe import lay_over
from recipes.rows import SEEDS_APART
from recipes.workspace import read_committed
from stages.runner import run_stage

NUM_THINGS, NUM_REGIONS, NUM_COLOURS, NUM_SHAPES = 600, 10, 8, 6
RELATIONS = ["in region", "next to", "has colour", "has shape", "twin", "alike", "team"]
FEATURE_DIM = 48
BATCH = 512

VALUES: Mapping[str, Any] = {
    "model.modalities": ["structure", "image"],
    "model.dim": 64,
    "model.encoder_dim": 64,
    "model.hidden_dim": 64,
    "model.dropout": 0.1,
    "model.head_dropout": 0.1,
    "fusion.complement": False,
    "fusion.contrastive_weight": 0.0,
    "train.epochs": 40,
    "train.batch_size": 128,
    "train.positives_per_row": 8,
    "train.sampled_candidates": 0,
    "train.embedding_learning_rate": 0.1,
    "train.network_learning_rate": 2e-3,
    "train.n3": 0.05,
    "train.encoder_n3": 0.05,
    "train.fused_n3": 0.05,
    "train.relation_weight": 0.0,
    "train.validate_every": 8,
    "train.patience": "auto",
    "train.device": "cpu",
}

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "two-unfused": {"fusion.rank": 0},
    "full": {"fusion.form": "full", "fusion.contrastive_weight": 0.05},
    "full-no-contrastive": {"fusion.form": "full"},
    "narrow": {"fusion.form": "narrow", "fusion.contrastive_weight": 0.05},
    "narrow-no-contrastive": {"fusion.form": "narrow"},
    "narrow-complement": {"fusion.form": "narrow", "fusion.complement": True},
}
"""Values on top of `VALUES`, by name of the corresponding row of a recipe."""


def make_graph(seed: int = 7) -> tuple[Graph, FeatureTable]:
    """Returns the graph and the features of its pictures; deterministic for a seed."""
    rng = np.random.default_rng(seed)
    sizes = (NUM_REGIONS, NUM_COLOURS, NUM_SHAPES)
    region, colour, shape = (rng.integers(0, size, NUM_THINGS) for size in sizes)
    labels = [
        f"{kind}{number}"
        for kind, count in zip(
            ("thing", "region", "colour", "shape", "team"),
            (NUM_THINGS, *sizes, NUM_REGIONS * NUM_SHAPES),
            strict=True,
        )
        for number in range(count)
    ]
    first_region, first_colour, first_shape, first_team = np.cumsum([NUM_THINGS, *sizes]).tolist()
    facts: list[tuple[int, int, int]] = []
    for thing in range(NUM_THINGS):
        facts += [
            (thing, 0, first_region + int(region[thing])),
            (thing, 2, first_colour + int(colour[thing])),
            (thing, 3, first_shape + int(shape[thing])),
            (thing, 6, first_team + int(region[thing]) * NUM_SHAPES + int(shape[thing])),
        ]

    def add_pairs(is_same: Callable[[int], Any], relation: int, count: int) -> None:
        pairs: set[tuple[int, int]] = set()
        while len(pairs) < count:
            one = int(rng.integers(NUM_THINGS))
            others = np.flatnonzero(is_same(one))
            others = others[others != one]
            if len(others):
                other = int(rng.choice(others))
                pairs.add((min(one, other), max(one, other)))
        for one, other in sorted(pairs):
            is_forward = rng.random() < 0.5
            facts.append((one, relation, other) if is_forward else (other, relation, one))

    add_pairs(lambda one: region == region[one], 1, 1200)
    add_pairs(lambda one: (region == region[one]) & (colour == colour[one]), 4, 900)
    add_pairs(lambda one: (shape == shape[one]) & (colour == colour[one]), 5, 900)
    triples = torch.as_tensor(np.array(facts)[rng.permutation(len(facts))])
    held_out = 2 * (len(triples) // 10)
    looks = [rng.normal(size=(count, FEATURE_DIM)) for count in (NUM_COLOURS, NUM_SHAPES)]
    pictures = looks[0][colour] + looks[1][shape] + rng.normal(size=(NUM_THINGS, FEATURE_DIM))
    vectors = torch.zeros(len(labels), FEATURE_DIM)
    vectors[:NUM_THINGS] = torch.as_tensor(pictures, dtype=torch.float32)
    splits = {
        "test": triples[:held_out],
        "valid": triples[held_out : 2 * held_out],
        "train": triples[2 * held_out :],
    }
    graph = Graph(labels, labels, [""] * len(labels), RELATIONS, RELATIONS, splits)
    return graph, FeatureTable(vectors, torch.arange(len(labels)) < NUM_THINGS)


def main() -> None:
    """Prints one line per variant and seed."""
    parser = argparse.ArgumentParser("python -m recipes.fused", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    given = parser.parse_args()
    graph, pictures = make_graph()
    committed = read_committed().model_dump()
    for variant in given.variants:
        values = {**VALUES, **VARIANTS[variant]}
        params = lay_over(committed, values, "recipes/fused.py").model_dump()
        for seed in given.seeds:
            apart = [seed] if variant != "two-unfused" else [seed, seed + SEEDS_APART]
            start = time.process_time()
            scorers = [_train(params, each, graph, pictures) for each in apart]
            seconds = time.process_time() - start
            valid, test = _measure(scorers, graph, params)
            print(
                f"{variant}, seed {seed}: valid {100 * valid:.2f}, test {100 * test:.2f}, "
                f"{seconds:.0f} s",
                flush=True,
            )


def _settled(params: Mapping[str, Any]) -> SettledParams:
    return validate(SettledParams, params, "recipes/fused.py")


def _train(params: Mapping[str, Any], seed: int, graph: Graph, pictures: FeatureTable) -> Scorer:
    """Trains a model and selects it on valid."""
    settled = _settled(params)
    spec = settled.model_copy(update={"train": settled.train.model_copy(update={"seed": seed})})
    torch.manual_seed(seed)
    model = build_model(graph, {"image": pictures}, settled.model, settled.fusion)
    Trainer(model, graph, spec).fit()
    return Scorer(model)


def _measure(
    scorers: Sequence[Scorer], graph: Graph, params: Mapping[str, Any]
) -> tuple[float, float]:
    """Returns MRR on valid, with decisions fitted on the other half, and on test."""
    decision = _settled(params).decision
    valid = graph.triples["valid"]
    halves = valid[0::2], valid[1::2]

    def mrr(fitted: Tensor, ranked: Tensor, splits: Sequence[str]) -> float:
        seen = replace(graph, triples={**graph.triples, "valid": fitted})
        together = fit_ensemble(scorers, seen, decision, BATCH)
        known = known_tails_in(graph, splits)
        table = rank_triples(together, ranked, known, graph.num_relations, BATCH)
        return rank_metrics(table.ranks[COMBINED], table.num_candidates)["mrr"]

    of_valid = [mrr(*each, ("train", "valid")) for each in (halves, halves[::-1])]
    of_test = mrr(valid, graph.triples["test"], ("train", "valid", "test"))
    return sum(of_valid) / len(of_valid), of_test


if __name__ == "__main__":
    run_stage(main)
