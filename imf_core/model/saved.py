"""The trained model on disk: weights as safetensors, configuration as JSON.

The configuration identifies the graph and the feature tables of the training. Loading refuses
others, since their ids and features would have another meaning.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from imf_core.base.artifacts import read_json, write_bytes, write_json
from imf_core.base.config import FusionParams, ModelParams, TrainingSpec
from imf_core.base.errors import DataError
from imf_core.base.sections import Section, validate
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import DEGREE_BINS, Graph, count_train_facts, find_degree_bins
from imf_core.graph.known_tails import find_loops, with_inverses
from imf_core.model.decision import Calibration
from imf_core.model.imf import IMF, Features
from imf_core.paths.channel import build_channel
from imf_core.paths.network import PathNetwork, PathSpec

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
CALIBRATION = "calibration.json"

ENTITY_TABLE = "channels.structural.encoder.table.weight"
RELATION_TABLE = ".relations"
"""Name of the weights with a row for each entity, and end of the names of those with a row for each
relation and its inverse."""


class SavedPaths(Section):
    """Sizes of a path network, see `PathSpec`."""

    dim: int = Field(ge=1, le=4096)
    relation_layers: int = Field(ge=1, le=64)
    entity_layers: int = Field(ge=1, le=64)


class SavedModel(Section):
    """Content of `config.json` beside the weights."""

    graph_fingerprint: str
    facts_digest: str
    heads: list[str]
    model: ModelParams
    fusion: FusionParams
    paths: SavedPaths | None = None
    spare_paths: SavedPaths | None = None
    features: dict[str, dict[str, str | int]]
    training: dict[str, Any]


def build_model(
    graph: Graph, tables: Mapping[str, FeatureTable], model: ModelParams, fusion: FusionParams
) -> IMF:
    """Builds an untrained model for a graph.

    Args:
        graph: Gives the numbers of entities and relations.
        tables: Feature tables by modality (`image`, `text`); those not in `model.modalities` are
            ignored.
        model: Section `model` of the parameters.
        fusion: Section `fusion` of the parameters.

    Raises:
        DataError: If features are missing, or no entity has one of the model's modalities.
    """
    require_features(tables, model)
    features: dict[str, Features] = {}
    for modality in model.modalities:
        if modality == "structure":
            continue
        table = tables[modality]
        masked = table.is_present if model.mask_missing else torch.ones_like(table.is_present)
        features[modality] = Features(table.vectors, masked, _is_in_answers(graph, masked))
    degree_bins = find_degree_bins(count_train_facts(graph))
    return IMF(find_loops(graph), degree_bins, len(DEGREE_BINS), features, model, fusion)


def build_saved(graph: Graph, tables: Mapping[str, FeatureTable], config: SavedModel) -> IMF:
    """Builds the model of a configuration, with its path network, for its weights to be loaded.

    Arguments and errors as in `build_model`.
    """
    model = build_model(graph, tables, config.model, config.fusion)
    if config.paths is not None:
        model.set_paths(build_channel(_build_network(config.paths), graph))
    if config.spare_paths is not None:
        model.spare_network = _build_network(config.spare_paths)
    return model


def _build_network(sizes: SavedPaths) -> PathNetwork:
    return PathNetwork(PathSpec(**sizes.model_dump())).eval()


def require_features(tables: Mapping[str, FeatureTable], model: ModelParams) -> None:
    """Checks that some entity has each modality of the model.

    Args:
        tables: Feature tables by modality.
        model: Section `model` of the parameters, which lists the modalities.

    Raises:
        DataError: If no entity has one of them.
    """
    for modality in model.modalities:
        if modality != "structure" and not bool(tables[modality].is_present.any()):
            others = [name for name in model.modalities if name != modality] or ["structure"]
            raise DataError(
                f"no entity has a usable {modality}, but model.modalities in params.yaml lists "
                f"it; leave it out: modalities: [{', '.join(others)}], or set it to auto"
            )


def _is_in_answers(graph: Graph, is_present: Tensor) -> Tensor:
    """Returns for which relations most answers in train have a modality, shape: (2R,), bool."""
    facts = with_inverses(graph.triples["train"], graph.num_relations)
    minlength = 2 * graph.num_relations
    answers = torch.bincount(facts[:, 1], minlength=minlength)
    present = torch.bincount(facts[is_present[facts[:, 2]], 1], minlength=minlength)
    return 2 * present > answers


def save_model(
    model: IMF,
    folder: Path,
    graph: Graph,
    tables: Mapping[str, FeatureTable],
    spec: TrainingSpec,
    training: Mapping[str, Any],
) -> None:
    """Writes `model.safetensors` and `config.json`.

    Args:
        model: The trained model.
        folder: Created if missing.
        graph: The graph it was trained on.
        tables: The feature tables it was trained on.
        spec: Parameters of the training.
        training: Record of training and selection.
    """
    config = SavedModel(
        graph_fingerprint=graph.fingerprint,
        facts_digest=graph.facts_digest,
        heads=list(model.channel_names),
        model=spec.model,
        fusion=spec.fusion,
        paths=_sizes(None if model.paths is None else model.paths.network),
        spare_paths=_sizes(model.spare_network),
        features=_describe(tables, spec.model),
        training=dict(training),
    )
    write_model(model, folder, config)


def _sizes(network: PathNetwork | None) -> SavedPaths | None:
    return None if network is None else SavedPaths(**vars(network.spec))


def write_model(model: IMF, folder: Path, config: SavedModel) -> None:
    """Writes the weights of a model and its configuration; see `save_model`."""
    weights = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_bytes(folder / WEIGHTS, save(weights))
    write_json(folder / CONFIG, config.model_dump())


def load_model(folder: Path, graph: Graph, tables: Mapping[str, FeatureTable]) -> IMF:
    """Loads a model written by `save_model`.

    Args:
        folder: Folder of the model.
        graph: The graph it was trained on.
        tables: The feature tables it was trained on.

    Returns:
        The model on the CPU.

    Raises:
        DataError: If a file is missing or damaged, a weight is not finite, or graph or features
            differ from those of the training.
        ConfigError: If `config.json` is not the configuration of a model.
    """
    config = load_config(folder)
    if config.graph_fingerprint != graph.fingerprint:
        raise DataError(
            f"the model in {folder} was trained on another graph "
            f"({_format_sizes(_saved_sizes(folder)) or 'sizes unknown'}, fingerprint "
            f"{config.graph_fingerprint[:12]}; this one: {_format_sizes(_graph_sizes(graph))}, "
            f"fingerprint {graph.fingerprint[:12]}); run `dvc repro` to train on this one"
        )
    if config.facts_digest != graph.facts_digest:
        raise DataError(
            f"the model in {folder} was trained on other facts of this graph (another split, or "
            "other decisions), so held-out facts may be known to it; run `dvc repro` to train on "
            "these"
        )
    found = _describe(tables, config.model)
    if found != config.features:
        raise DataError(
            f"the model in {folder} was trained on other features ({config.features}, these "
            f"are {found}); run `dvc repro` to train on these"
        )
    model = build_saved(graph, tables, config)
    path = folder / WEIGHTS
    saved, sizes = _saved_sizes(folder), _graph_sizes(graph)
    if {**sizes, **saved} != sizes:
        raise DataError(
            f"{path} holds weights for {_format_sizes(saved)}, but the graph of {CONFIG} beside it "
            f"has {_format_sizes(sizes)}: the files are of two trainings; delete the folder and "
            "run `dvc repro` to train on this graph"
        )
    try:
        weights = load_file(path)
        if not any(name.startswith("channels.") for name in weights):
            raise DataError(
                f"{path} was saved by an earlier version of the project, with other names of its "
                f"tensors (the first is {min(weights, default='missing')}); run `dvc repro train` "
                "to train the model again"
            )
        model.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise DataError(
            f"{path} cannot be read as the model that {CONFIG} beside it describes ({error}); "
            "delete the folder and run `dvc repro`"
        ) from error
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise DataError(
                f"{path} holds values in {name} that are not finite (NaN or infinity), which no "
                "training saves; delete the folder and run `dvc repro`"
            )
    return model


def _graph_sizes(graph: Graph) -> dict[str, int]:
    """Returns the sizes of a graph by their nouns."""
    return {"entities": graph.num_entities, "relations": graph.num_relations}


def _saved_sizes(folder: Path) -> dict[str, int]:
    """Returns the sizes of the graph that weights are for, as far as they show.

    Weights without structure do not show the number of entities, unreadable ones nothing.
    """
    sizes = {}
    try:
        with safe_open(folder / WEIGHTS, "pt") as weights:
            for name in weights.keys():  # noqa: SIM118 - it is no mapping
                if name == ENTITY_TABLE:
                    sizes["entities"] = weights.get_slice(name).get_shape()[0]
                elif name.endswith(RELATION_TABLE):
                    sizes["relations"] = weights.get_slice(name).get_shape()[0] // 2
    except (OSError, SafetensorError):
        return {}
    return sizes


def _format_sizes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {noun}" for noun, number in sizes.items())


def load_config(folder: Path) -> SavedModel:
    """Loads the configuration of a saved model.

    Raises:
        DataError: If the file is missing or damaged.
        ConfigError: If the file is not the configuration of a model.
    """
    return validate(SavedModel, read_json(folder / CONFIG), str(folder / CONFIG))


def save_calibration(calibration: Calibration, folder: Path) -> None:
    """Writes `calibration.json` beside the weights it was fitted for."""
    write_json(folder / CALIBRATION, calibration.model_dump())


def load_calibration(folder: Path) -> Calibration:
    """Loads a calibration written by `save_calibration`.

    Raises:
        DataError: If the file is missing or damaged.
        ConfigError: If the file is not a calibration.
    """
    path = folder / CALIBRATION
    return validate(Calibration, read_json(path), str(path))


def _describe(
    tables: Mapping[str, FeatureTable], model: ModelParams
) -> dict[str, dict[str, str | int]]:
    """Describes the model's features: provenance, size and hash of each table."""
    description: dict[str, dict[str, str | int]] = {}
    for modality in sorted(set(model.modalities) - {"structure"}):
        if modality not in tables:
            raise DataError(
                f"model.modalities lists {modality}, but no table of {modality} features was "
                "given; extract it or leave the modality out"
            )
        table = tables[modality]
        description[modality] = {
            **table.provenance,
            "dim": int(table.vectors.shape[1]),
            "entities": int(torch.count_nonzero(table.is_present)),
            "sha256": table.digest,
        }
    return description
