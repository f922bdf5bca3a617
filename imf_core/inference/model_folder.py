"""A model in one folder: `imf export --model` packs it, `imf_core.load` opens it anywhere.

The stage `train` writes only what it computes (`results/model`), since graph and features are outs
of other stages and DVC would store them twice. The packed folder has all that answers need:

    config.json, model.safetensors, calibration.json    as `train` writes them
    thresholds.json                                     of `Completer.score`
    graph/                                              labels, names, descriptions, known facts
    features/MODALITY.parquet                           of the modalities that the model reads
    encoders/MODALITY/                                  for unseen entities
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from imf_core.base.artifacts import fresh_folder, read_json, write_json
from imf_core.base.device import resolve_device
from imf_core.base.errors import ConfigError, DataError
from imf_core.base.modality import UnseenEncoder, find_modalities
from imf_core.base.sections import validate
from imf_core.graph.decided import DECIDED_FILE, save_decided
from imf_core.graph.feature_table import load_features, save_features
from imf_core.graph.graph import load_graph, with_decided
from imf_core.graph.labels import save_graph
from imf_core.inference.completer import Completer, Tables
from imf_core.inference.fact_scores import Thresholds
from imf_core.model.saved import (
    CALIBRATION,
    CONFIG,
    WEIGHTS,
    load_calibration,
    load_config,
    load_model,
    save_calibration,
    write_model,
)

GRAPH, FEATURES, ENCODERS, THRESHOLDS = "graph", "features", "encoders", "thresholds.json"
"""Parts of a packed folder."""

GRAPH_FILES = ("entities.parquet", "relations.parquet", "triples.parquet")

PROJECT_GRAPH, PROJECT_FEATURES = "data/graph", "data/features"
"""Outs of a project, beside its `results/model`."""

REMEDY = "copy the packed model as a whole, or pack it again with `imf export --model FOLDER`"
"""For a packed folder with a missing or damaged file."""


def load(folder: Path, device: str) -> Completer:
    """Opens a packed folder, or `results/model` of a project after a run.

    In a project, encoders of unseen entities are left out, since params.yaml names them.

    Args:
        folder: The folder.
        device: `auto`, `cpu`, `cuda` or another name of a device in PyTorch.

    Raises:
        DataError: If the folder is neither, or a file is missing or damaged, or the files are not
            of one run.
        ConfigError: If a file of the model is invalid, or the device is missing.
    """
    on = _find_device(device)
    if (folder / GRAPH).is_dir():
        with _packed_remedy():
            return _load_packed(folder, on)
    project = folder.absolute().parent.parent
    if (folder / CONFIG).is_file() and (project / PROJECT_GRAPH).is_dir():
        paths = {
            name: project / PROJECT_FEATURES / f"{name}.parquet"
            for name in load_config(folder).features
        }
        return load_completer(project / PROJECT_GRAPH, folder, paths, on)
    raise DataError(
        f"{folder} is no packed model: it has no {GRAPH} with {CONFIG} beside it; pack one in the "
        "folder of a project, after a run, with `imf export --model FOLDER`"
    )


def _find_device(name: str) -> torch.device:
    try:
        device = resolve_device(name, "device") if name == "auto" else torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # without CUDA, PyTorch raises either
        raise ConfigError(
            f"device must be auto or a device that PyTorch finds here, got {name!r} ({error}); "
            "leave it out for auto"
        ) from error
    return device


def _load_packed(folder: Path, device: torch.device) -> Completer:
    _require(folder / CONFIG)
    modalities = list(load_config(folder).features)
    features = {name: folder / FEATURES / f"{name}.parquet" for name in modalities}
    graph = [folder / GRAPH / name for name in GRAPH_FILES]
    beside = [folder / name for name in (WEIGHTS, CALIBRATION, THRESHOLDS)]
    _require(*beside, *graph, *features.values())

    def open_encoders(tables: Tables) -> Mapping[str, UnseenEncoder]:
        found = [name for name in modalities if (folder / ENCODERS / name).is_dir()]
        return {
            name: PackedEncoder(
                find_modalities()[name].load_unseen(folder / ENCODERS / name, tables[name])
            )
            for name in found
        }

    path = folder / THRESHOLDS
    return load_completer(
        folder / GRAPH,
        folder,
        features,
        device,
        open_encoders,
        validate(Thresholds, read_json(path), str(path)),
    )


def _require(*paths: Path) -> None:
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path} is missing; {REMEDY}")


@contextmanager
def _packed_remedy() -> Iterator[None]:
    """Replaces the remedy in errors about files of a packed folder, which no stage makes.

    A message ends with its remedy, after the last semicolon; a `ConfigError` has a line per key.
    """
    try:
        yield
    except (DataError, ConfigError) as error:
        first = str(error).splitlines()[0] if isinstance(error, ConfigError) else str(error)
        cause, _, remedy = first.rpartition("; ")
        raise type(error)(f"{cause or remedy}; {REMEDY}") from error


class PackedEncoder(UnseenEncoder):
    """An encoder of a packed folder: it reads its files where it is needed."""

    def __init__(self, encoder: UnseenEncoder) -> None:
        self._encoder = encoder

    def encode(self, inputs: Sequence[str]) -> Tensor:
        """Encodes inputs; see `UnseenEncoder`."""
        with _packed_remedy():
            return self._encoder.encode(inputs)

    def save(self, folder: Path) -> None:
        """Writes its files; see `UnseenEncoder`."""
        with _packed_remedy():
            self._encoder.save(folder)


def _require_replaceable(folder: Path) -> None:
    """Refuses a path with anything but a packed model: nothing of the user is replaced."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ConfigError(f"{folder} is a file or a link and is not replaced; name a new folder")
    found = {path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()}
    known = {Path(name) for name in (CONFIG, WEIGHTS, CALIBRATION, THRESHOLDS)}
    known |= {Path(GRAPH) / name for name in (*GRAPH_FILES, DECIDED_FILE)}
    known |= {Path(FEATURES) / f"{name}.parquet" for name in find_modalities()}
    others = {path for path in found - known if path.parts[0] != ENCODERS}
    if others or (found and Path(THRESHOLDS) not in found):
        reason = f"it holds {min(others)}" if others else f"it has no {THRESHOLDS}"
        raise ConfigError(
            f"{folder} is no packed model ({reason}) and is not replaced; name a new folder"
        )


def pack(completer: Completer, folder: Path) -> None:
    """Writes a folder that `load` opens; the same model gives the same bytes.

    Args:
        completer: The model, without unseen entities.
        folder: Replaced if it is a packed model.

    Raises:
        ConfigError: If the folder holds other files, or the model has unseen entities or new facts.
        QuestionError: If the graph's features have another encoder than params.yaml names.
    """
    folder = folder.absolute()
    _require_replaceable(folder)
    graph, config = completer.graph, completer.config
    if (graph.fingerprint, graph.facts_digest) != (config.graph_fingerprint, config.facts_digest):
        raise ConfigError(
            "a model with unseen entities or new facts cannot be packed; pack it without them"
        )
    with fresh_folder(folder) as new:
        write_model(completer.scorer.model, new, config)
        save_calibration(completer.calibration, new)
        write_json(new / THRESHOLDS, completer.thresholds.model_dump())
        save_graph(graph, graph.facts, new / GRAPH)
        decided = {name: facts.numpy() for name, facts in graph.decided.items()}
        save_decided(decided, graph.fingerprint, new / GRAPH)
        for name in config.features:
            path = new / FEATURES / f"{name}.parquet"
            save_features(completer.tables[name], graph.fingerprint, path)
            if name in completer.encoders:
                completer.encoders[name].save(new / ENCODERS / name)


def load_completer(
    graph_folder: Path,
    model_folder: Path,
    feature_paths: Mapping[str, Path],
    device: torch.device | None = None,
    open_encoders: Callable[[Tables], Mapping[str, UnseenEncoder]] = lambda _: {},
    thresholds: Thresholds | None = None,
) -> Completer:
    """Loads a trained model with its graph and features.

    Args:
        graph_folder: Output of `prepare`.
        model_folder: Output of `train`.
        feature_paths: Outputs of the feature stages, by modality (`image`, `text`).
        device: Device of the model; the CPU by default.
        open_encoders: Returns the encoders of the features, by modality.
        thresholds: Of the model, None to fit them when they are needed.

    Raises:
        DataError: If a file is missing or damaged, or the files are not of one run.
        ConfigError: If a file of the model is invalid.
    """
    graph = with_decided(load_graph(graph_folder), graph_folder)
    tables = {name: load_features(path, graph.fingerprint) for name, path in feature_paths.items()}
    model = load_model(model_folder, graph, tables).to(device or torch.device("cpu"))
    config, calibration = load_config(model_folder), load_calibration(model_folder)
    return Completer(graph, tables, model, config, calibration, open_encoders(tables), thresholds)
