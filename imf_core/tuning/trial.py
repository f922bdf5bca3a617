"""One trial: a short training that reports its MRR on valid."""

from collections.abc import Callable, Mapping

import torch

from imf_core.config import DecisionParams, FusionParams, ModelParams, TrainParams
from imf_core.data.graph import Graph
from imf_core.features.table import FeatureTable
from imf_core.inference.saved_model import build_model
from imf_core.training.trainer import Record, Trainer

FACTS_OF_A_TRIAL = 400_000
"""Largest number of facts of a trial, each direction counted, beyond `LEAST_EPOCHS`."""

LEAST_EPOCHS, MOST_EPOCHS = 4, 24
"""Bounds of the epochs of a trial."""

MANY_FACTS = 1_000_000
"""Facts per epoch, each direction counted, above which half of `LEAST_EPOCHS` is the bound."""

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
    least = LEAST_EPOCHS if facts <= MANY_FACTS else LEAST_EPOCHS // 2
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
    trainer = Trainer(untrained, graph, train, NO_FUSION, GLOBAL_DECISION)

    def report(record: Record) -> None:
        on_validation(int(record["epoch"]), record["valid_mrr"])

    trainer.fit(report)
