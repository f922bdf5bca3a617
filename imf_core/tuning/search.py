"""The values of `auto`: rules of thumb by size and density, then a coordinate search on valid.

The search varies one key at a time by short trainings, within a number of trials.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from imf_core.base.config import (
    DecisionParams,
    FusionParams,
    ModelParams,
    ModelSettings,
    TrainingSpec,
    TrainParams,
    TrainSettings,
)
from imf_core.base.modality import STRUCTURE, find_modalities
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import known_tails_in
from imf_core.model.saved import build_model
from imf_core.training.trainer import Record, Trainer

SMALL_GRAPH = 6_000
"""Largest number of entities for which every step scores all of them."""

SAMPLED_CANDIDATES = 2_000
"""Random entities scored per step on a larger graph, beside those of the step's facts."""

STEPS_PER_EPOCH = 8
"""Approximate steps per epoch, within the bounds of the batch size."""

FACTS_OF_LONG_TRAINING = 16_000_000
"""Largest number of facts of a training, each direction counted, beyond `LEAST_TRIAL_EPOCHS`."""

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
    present = [
        name
        for name, modality in find_modalities().items()
        if modality.is_automatic and bool(tables[name].is_present.any())
    ]
    return {
        "model.modalities": [STRUCTURE, *present],
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


FACTS_OF_A_TRIAL = 400_000
"""Largest number of facts of a trial, each direction counted, beyond `LEAST_TRIAL_EPOCHS`."""

LEAST_TRIAL_EPOCHS, MOST_EPOCHS = 4, 24
"""Bounds of the epochs of a trial."""

MANY_FACTS = 1_000_000
"""Facts per epoch, each direction counted; above, half of `LEAST_TRIAL_EPOCHS` is the bound."""

LARGEST_DIM = 256
"""Largest `model.dim` of a trial: the values that suit it suit a larger model."""

NO_FUSION = FusionParams(
    form="narrow",
    rank=0,
    dropout=0.0,
    residual=False,
    complement=False,
    detach=False,
    contrastive_weight=0.0,
    contrastive_temperature=1.0,
)
GLOBAL_DECISION = DecisionParams(weights="global", shrinkage=0.0)


def trial_epochs(graph: Graph) -> int:
    """Returns the largest number of epochs of a trial."""
    facts = max(1, 2 * len(graph.triples["train"]))
    least = LEAST_TRIAL_EPOCHS if facts <= MANY_FACTS else LEAST_TRIAL_EPOCHS // 2
    return max(least, min(MOST_EPOCHS, FACTS_OF_A_TRIAL // facts))


def run_trial(
    graph: Graph,
    tables: Mapping[str, FeatureTable],
    model: ModelParams,
    train: TrainParams,
    on_validation: Callable[[int, float], None],
) -> None:
    """Trains a model without a fused channel for a few epochs.

    Args:
        graph: Train and valid are read.
        tables: Feature tables of the model's modalities.
        model: Section `model` of the trial.
        train: Section `train` of the trial; its epochs are those of the trial.
        on_validation: Called with epoch and MRR on valid; may raise to end the trial.
    """
    torch.manual_seed(train.seed)
    untrained = build_model(graph, tables, model, NO_FUSION)
    spec = TrainingSpec(model=model, fusion=NO_FUSION, decision=GLOBAL_DECISION, train=train)
    trainer = Trainer(untrained, graph, spec)

    def report(record: Record) -> None:
        on_validation(int(record["epoch"]), record["valid_mrr"])

    trainer.fit(report)


Setting = dict[str, Any]
"""Values by `section.key`."""


@dataclass(frozen=True)
class Axis:
    """Values to try for one key.

    Attributes:
        key: `section.key`.
        factors: One factor, or a factor and its reciprocal. The search multiplies the best value so
            far by the first factor as long as that gains, and by the second only if the first did
            not gain, since it leads back. Empty if `values` lists the values.
        values: Values to try once, in this order.
        least_gain: A better value must raise the score by more than this: a smaller rise may be
            chance, or not worth the additional time.
        least: Lower bound of the values that factors lead to.
    """

    key: str
    factors: Sequence[float] = ()
    values: Sequence[Any] = ()
    least_gain: float = 0.0
    least: float = 0.0


def search(
    start: Setting, axes: Sequence[Axis], trial: Callable[[Setting], float], max_trials: int
) -> Setting:
    """Searches along one axis after the other and returns the best setting.

    Repeats from the best setting so far until no axis gains.

    Args:
        start: The first setting tried.
        axes: In the order of the search, the most important first. A key may have several.
        trial: Returns the score of a setting; the earlier of equal scores wins.
        max_trials: Largest number of settings tried, `start` included; 0 returns `start` untried.
    """
    scores: dict[tuple[Any, ...], float] = {}

    def is_better(setting: Setting, best: Setting, least_gain: float) -> bool:
        """Tries a setting unless it was tried before or no trial is left."""
        place, best_place = _place(setting), _place(best)
        if place in scores or len(scores) >= max_trials:
            return False
        scores[place] = trial(setting)
        return scores[place] > scores[best_place] + least_gain

    def go_along(axis: Axis, best: Setting) -> Setting:
        """Returns the best setting on an axis through a setting."""
        for value in axis.values:
            setting = {**best, axis.key: value}
            if is_better(setting, best, axis.least_gain):
                best = setting
        before = best
        for factor in axis.factors:
            while (value := _times(best[axis.key], factor)) >= axis.least and is_better(
                setting := {**best, axis.key: value}, best, axis.least_gain
            ):
                best = setting
            if best is not before:
                break
        return best

    best = start
    if max_trials > 0:
        scores[_place(start)] = trial(start)
    while True:
        before_round = best
        for axis in axes:
            best = go_along(axis, best)
        if best is before_round:
            return best


def _place(setting: Setting) -> tuple[Any, ...]:
    """Rounds values to two digits, so that dividing and multiplying by three leads back."""
    return tuple(
        float(f"{value:.2g}") if isinstance(value, float) else value for value in setting.values()
    )


def _times(value: float, factor: float) -> float:
    """Multiplies and rounds to four significant digits; an integer stays an integer, at least 1."""
    product = float(f"{value * factor:.4g}")
    return max(1, round(product)) if isinstance(value, int) else product
