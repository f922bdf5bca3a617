"""What the training stages share: chosen values, a seeded model, checkpoints, a note on the end."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from imf_core.base.artifacts import read_json
from imf_core.base.config import (
    ModelSettings,
    TrainingSpec,
    TrainParams,
    TrainSettings,
)
from imf_core.base.device import Processes
from imf_core.base.errors import ConfigError
from imf_core.base.terminal import format_minutes
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.model.saved import build_model
from imf_core.training.checkpoint import find_checkpoints
from imf_core.training.settle import Values, find_auto
from imf_core.training.trainer import Progress, Trainer
from stages.paths import CHOSEN, FEATURES, GRAPH
from stages.runner import state_folder


def describe_rise(epochs: int) -> str:
    """Formats the advice for a best epoch that is the last one.

    Args:
        epochs: Epochs trained.
    """
    return (
        f"the best epoch is the last one, so more epochs may gain: set train.epochs to {2 * epochs}"
        f" (`dvc exp run -S train.epochs={2 * epochs}`); training goes on from its last kept state"
    )


def read_chosen(model: ModelSettings, train: TrainSettings) -> Values:
    """Reads a value for every `auto` from `results/tuning/chosen.json`.

    Args:
        model: Section `model` of the parameters.
        train: Section `train` of the parameters.

    Raises:
        ConfigError: If the file lacks a value.
        DataError: If the file is missing or damaged.
    """
    wanted = find_auto(model, train)
    values: Values = read_json(CHOSEN) if wanted else {}
    if missing := [key for key in wanted if key not in values]:
        raise ConfigError(
            f"{CHOSEN} has no value for {', '.join(missing)}, which params.yaml sets to `auto`; "
            "run `dvc repro tune`, or set a value"
        )
    return values


ADVICE = (
    "lower train.batch_size, model.dim, model.relation_dim or fusion.rank, or set "
    "train.sampled_candidates (2000, say)"
)
"""Advice if memory does not suffice."""


def make_trainer(
    spec: TrainingSpec,
    graph: Graph,
    tables: Mapping[str, FeatureTable],
    processes: Processes,
) -> Trainer:
    """Makes a trainer of an untrained model, with the checkpoints of a killed run.

    Args:
        spec: Parameters of the training.
        graph: The prepared graph.
        tables: Feature tables of the model's modalities.
        processes: The processes that train together.
    """
    torch.manual_seed(spec.train.seed)
    untrained = build_model(graph, tables, spec.model, spec.fusion)
    folder = state_folder() / "checkpoints"
    inputs = input_files(spec.model.modalities)
    checkpoints = find_checkpoints(folder, inputs, spec)
    trainer = Trainer(untrained, graph, spec, checkpoints, processes)
    if processes.is_first:
        kept, start = trainer.find_start()
        if start:
            print(f"going on from epoch {start}, the last checkpoint of this run")
        elif kept:
            print(
                f"training from the start: the kept checkpoint has {kept} epochs, more than "
                f"train.epochs {spec.train.epochs}"
            )
        if len(trainer.valid) < (num_valid := len(graph.triples["valid"])):
            print(
                f"validation and decision use a sample of {len(trainer.valid):,} of the "
                f"{num_valid:,} facts of valid: the graph has {graph.num_entities:,} entities"
            )
    return trainer


def input_files(modalities: Iterable[str]) -> list[Path]:
    """Returns the files that a training with these modalities reads, and this module."""
    features = [path for name, path in FEATURES.items() if name in set(modalities)]
    return [GRAPH / "triples.parquet", *features, Path(__file__)]


def describe_training(train: TrainParams, progress: Progress) -> dict[str, Any]:
    """Returns the parameters and the selection of a training."""
    return {
        **train.model_dump(),
        "selected_epoch": progress.best_epoch,
        "trained_epochs": progress.epoch,
        "selection_mrr": progress.best_mrr,
        "is_still_rising": progress.is_still_rising,
    }


def print_estimate(epochs: int, first_epoch_seconds: float) -> None:
    """Prints an estimate of the training time from the first epoch.

    Args:
        epochs: Largest number of epochs.
        first_epoch_seconds: Wall-clock time without validation.
    """
    time = format_minutes(epochs * first_epoch_seconds)
    print(
        f"an epoch takes about {first_epoch_seconds:.1f} s, all {epochs} at most {time} and their "
        "validations; training stops sooner where these bring no gain",
        flush=True,
    )


def finish_states(trainer: Trainer) -> None:
    """Keeps the final state of a saved run for more epochs; all processes call it."""
    assert trainer.checkpoints is not None
    if not trainer.processes.is_first:
        trainer.checkpoints.release()
    trainer.processes.barrier()  # all other processes have released the checkpoints
    if trainer.processes.is_first:
        trainer.checkpoints.finish()
