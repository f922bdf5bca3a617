"""Measures one row of the table with one seed: trains, selects on valid, ranks test once."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from imf_core.config import SettledParams
from imf_core.data.graph import Graph
from imf_core.device import explain_out_of_memory
from imf_core.evaluation.ranking import RankingScorer, RankTable
from imf_core.evaluation.report import by_degree, by_media, overall_metrics
from imf_core.features.table import FeatureTable
from imf_core.model.decision import DecisionFusion
from imf_core.model.scorer import Scorer
from imf_core.training.checkpoint import find_checkpoints, training_values
from measuring.environment import describe_environment
from recipes.pair import fit_ensemble
from recipes.recipe import Overrides
from recipes.rows import SEEDS_APART, Row
from recipes.store import Basis, Measurement
from recipes.training import train_model
from stages.held_out import rank_held_out

CODE = ("imf_core", "stages", "recipes", "measuring", ":!recipes/results")
"""Code that a result depends on; params.yaml is read from the commit."""


def measure_row(
    dataset: str,
    row: Row,
    params: SettledParams,
    overrides: Overrides,
    command: str,
    graph: Graph,
    tables: dict[str, FeatureTable],
    inputs: Iterable[Path],
    checkpoint_folder: Path,
) -> tuple[Measurement, RankTable]:
    """Trains the models of a row and ranks test.

    Args:
        dataset: The recipe's name.
        row: The row.
        params: Parameters of the row and the seed.
        overrides: Parameters that differ from params.yaml, for the record.
        command: Command of the measurement, for the record.
        graph: The prepared graph.
        tables: Features by modality.
        inputs: Files of graph and features.
        checkpoint_folder: Folder of training states; those of this row are deleted at the end.

    Returns:
        The measurement, and the ranks of test.
    """
    inputs = list(inputs)
    seeds = [params.train.seed + SEEDS_APART * number for number in range(row.num_models)]
    scorers, models, states = [], [], []
    with explain_out_of_memory("lower train.batch_size or model.dim"):
        for seed in seeds:
            train = params.train.model_copy(update={"seed": seed})
            of_seed = params.model_copy(update={"train": train})
            states.append(
                find_checkpoints(
                    checkpoint_folder,
                    inputs,
                    of_seed.model,
                    of_seed.fusion,
                    of_seed.decision,
                    of_seed.train,
                )
            )
            model, run = train_model(of_seed, graph, tables, states[-1])
            scorers.append(Scorer(model))
            models.append(run)
        scorer, decision = _combine(scorers, graph, params)
        ranked = rank_held_out(scorer, graph, params.evaluate.batch_size)
    for state in states:
        state.clear()
    is_present = {name: each.is_present.numpy() for name, each in tables.items()}
    measurement = Measurement(
        dataset=dataset,
        row=row.name,
        seed=params.train.seed,
        overrides=overrides,
        modalities=list(params.model.modalities),
        command=command,
        environment={**describe_environment(CODE), "device": _name_device(scorer.device)},
        threads=torch.get_num_threads(),
        basis=find_basis(params, graph, tables),
        models=models,
        weights=_global_weights(scorer.channel_names, decision),
        test=overall_metrics(ranked["test"]),
        valid=overall_metrics(ranked["valid"]),
        by_degree=by_degree(ranked["test"], graph),
        by_media=by_media(ranked["test"], is_present),
    )
    return measurement, ranked["test"]


def find_basis(params: SettledParams, graph: Graph, tables: Mapping[str, FeatureTable]) -> Basis:
    """Returns the inputs that the figures of a row depend on.

    Args:
        params: Parameters of the row and the seed.
        graph: The prepared graph.
        tables: Features by modality; other modalities than the row's are ignored.
    """
    return Basis(
        params=training_values(params.model, params.fusion, params.decision, params.train),
        graph=f"{graph.fingerprint} {graph.facts_digest} {graph.test_digest}",
        features={
            name: table.digest for name, table in tables.items() if name in params.model.modalities
        },
    )


def _combine(
    scorers: list[Scorer], graph: Graph, params: SettledParams
) -> tuple[RankingScorer, DecisionFusion]:
    """Returns the scorer and its decision."""
    if len(scorers) == 1:
        return scorers[0], scorers[0].model.decision
    together = fit_ensemble(scorers, graph, params.decision, params.evaluate.batch_size)
    return together, together.decision


def _global_weights(channel_names: tuple[str, ...], decision: DecisionFusion) -> dict[str, Any]:
    """Returns the global weight of each channel."""
    weights = decision.global_logits.detach().softmax(dim=0).tolist()
    return dict(zip(channel_names, weights, strict=True))


def _name_device(device: torch.device) -> str:
    """Returns the name of a GPU, `cpu` for a CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
