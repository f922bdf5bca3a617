"""Rules of thumb: a value for every key that can be `auto`, by the size and density of the graph.

The trials start from these values; with `tune.trials: 0` they are final. They follow published
values for ComplEx-N3 (Lacroix et al., ICML 2018, arXiv 1806.07297): a weaker penalty for a denser
graph, and enough steps per epoch.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch

from imf_core.config import ModelSettings, TrainParams, TrainSettings
from imf_core.data.graph import Graph
from imf_core.data.known_tails import known_tails_in
from imf_core.features.table import FeatureTable

SMALL_GRAPH = 6_000
"""Largest number of entities for which every step scores all of them."""

SAMPLED_CANDIDATES = 2_000
"""Random entities scored per step on a larger graph, beside those of the step's facts."""

STEPS_PER_EPOCH = 8
"""Approximate steps per epoch, within the bounds of the batch size."""

FACTS_OF_LONG_TRAINING = 16_000_000
"""Largest number of facts of a training, each direction counted, beyond `LEAST_EPOCHS`."""

STEPS_OF_LONG_TRAINING = 5_000
"""Largest number of steps of a training with few steps per epoch, within 1,000 epochs."""

STEPS_BETWEEN_VALIDATIONS = 24
"""Largest number of steps between validations, unless an epoch has more."""

LEAST_EPOCHS = 10
"""Least epochs of a training, for any size of graph."""

LARGEST_N3, SMALLEST_N3 = 0.1, 0.005
"""Bounds of `train.n3`."""


def choose_by_rule(
    graph: Graph,
    tables: Mapping[str, FeatureTable],
    model: ModelSettings,
    train: TrainSettings,
) -> dict[str, Any]:
    """Returns a value for every key that can be `auto`, by `section.key`.

    Epochs, validations and `train.fused_n3` are provisional: `follow_from` replaces them once the
    other values are chosen.

    Args:
        graph: Train is read.
        tables: Features by modality; the model leaves out a modality that no entity has.
        model: Section `model` of the parameters; only the form of the context is used.
        train: Section `train` of the parameters; only the loss is used.
    """
    is_small = graph.num_entities <= SMALL_GRAPH
    positives = 8 if is_small else 32
    rows_per_step = _count_rows(graph, positives) / STEPS_PER_EPOCH
    n3 = n3_by_density(graph) if train.loss == "cross-entropy" else 0.0
    present = [name for name in ("image", "text") if bool(tables[name].is_present.any())]
    return {
        "model.modalities": ["structure", *present],
        "model.dim": _dim(graph.num_entities, is_dense=model.context == "dense"),
        "model.encoder_dim": 128 if is_small or model.context == "dense" else 256,
        "model.hidden_dim": 256 if is_small else 512,
        "model.dropout": 0.1,
        "model.head_dropout": 0.1 if is_small else 0.0,
        "train.epochs": LEAST_EPOCHS,
        "train.validate_every": 1,
        "train.batch_size": _power_of_two(rows_per_step, 16, 512),
        "train.positives_per_row": positives,
        "train.sampled_candidates": 0 if is_small else SAMPLED_CANDIDATES,
        "train.embedding_learning_rate": 0.1,
        "train.network_learning_rate": 2e-3,
        "train.n3": n3,
        "train.encoder_n3": n3 / 2 if is_small else n3 / 5,
        "train.fused_n3": n3 / 2,
        "train.relation_weight": 0.0,
    }


def follow_from(graph: Graph, train: TrainParams) -> dict[str, Any]:
    """Returns the values that depend on chosen ones, by `section.key`.

    The fused channel is close to the structural one and takes half of its penalty. The lengths of
    training and of validation intervals are set in steps, so a graph with few steps per epoch
    trains for more epochs.

    Args:
        graph: Train is read.
        train: Section `train` with the chosen values.
    """
    facts = max(1, 2 * len(graph.triples["train"]))
    steps = -(-_count_rows(graph, train.positives_per_row) // train.batch_size)
    epochs = max(100, min(1000, STEPS_OF_LONG_TRAINING // max(1, steps)))
    return {
        "train.fused_n3": train.n3 / 2,
        "train.epochs": max(LEAST_EPOCHS, min(epochs, FACTS_OF_LONG_TRAINING // facts)),
        "train.validate_every": max(1, STEPS_BETWEEN_VALIDATIONS // max(1, steps)),
    }


def n3_by_density(graph: Graph) -> float:
    """Returns the weight of the N3 penalty; it falls with the train facts per entity.

    0.1 up to three facts per entity, 0.013 at a hundred.
    """
    density = len(graph.triples["train"]) / max(1, graph.num_entities)
    n3: float = 0.2 * max(density, 1.0) ** -0.6
    return round(min(LARGEST_N3, max(SMALLEST_N3, n3)), 4)


def _count_rows(graph: Graph, positives: int) -> int:
    sizes = known_tails_in(graph, ["train"]).offsets.diff()
    return int(torch.ceil(sizes / positives).sum())


def _dim(num_entities: int, *, is_dense: bool) -> int:
    """Returns D: large tables must fit in memory; a dense context costs D x D per relation."""
    if is_dense:
        return 128
    return 512 if num_entities <= 100_000 else 256 if num_entities <= 500_000 else 128


def _power_of_two(number: float, least: int, most: int) -> int:
    """Returns the power of two nearest to a number, within bounds."""
    return int(min(most, max(least, 2 ** round(math.log2(max(1.0, number))))))
