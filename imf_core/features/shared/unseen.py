"""Encodes inputs of unseen entities with the encoder of the graph's features.

A pretrained model is loaded as in the stage. A built-in encoder is fitted to the graph's inputs
again, and must reproduce the features' file, or is read from a packed model.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Generic

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch import Tensor

from imf_core.base.artifacts import read_json, write_bytes, write_json
from imf_core.base.config import ImagesParams
from imf_core.base.errors import DataError, ModelUnavailableError, QuestionError
from imf_core.base.modality import UnseenEncoder
from imf_core.base.sections import validate
from imf_core.features.shared.encoding import Encoding, FittedEncoder, ParamsT
from imf_core.features.shared.model_files import locate_model
from imf_core.graph.feature_table import FeatureTable

ENCODER = "encoder.json"
"""File of a saved encoder's parameters; a built-in one has its fitted arrays beside it."""

IN_PARAMS = "params.yaml"

TOLERANCE = 1e-3
"""Vectors have length one; two fits of the same inputs differ by rounding alone."""


class EncodingOfUnseen(UnseenEncoder, Generic[ParamsT]):
    """The encoder of a modality with a built-in and pretrained encoders.

    Args:
        kind: The encoders of the modality.
        params: The section.
        images: Parameters of re-encoding, for images.
        table: The graph's features.
        origin: File that names the encoder, for errors.
        open_builtin: Returns the built-in encoder; called where it is needed.
    """

    def __init__(
        self,
        kind: type[Encoding[ParamsT]],
        params: ParamsT,
        images: ImagesParams,
        table: FeatureTable,
        origin: str,
        open_builtin: Callable[[], FittedEncoder],
    ) -> None:
        self._kind, self._params, self._images = kind, params, images
        self._table, self._origin, self._open_builtin = table, origin, open_builtin

    def encode(self, inputs: Sequence[str]) -> Tensor:
        """Encodes inputs; see `UnseenEncoder`."""
        require_encoder(self._kind.section, self._table)
        vectors = self._embed([self._kind.read_unseen(each, self._images) for each in inputs])
        for each, vector in zip(inputs, vectors, strict=True):
            if not vector.any():
                modality = self._kind.section.removesuffix("_features")
                raise QuestionError(
                    f"the {modality} {each!r} shares nothing with those of the graph; say more"
                )
        return torch.from_numpy(vectors)

    def save(self, folder: Path) -> None:
        """Writes `encoder.json` and, of a built-in encoder, the fitted arrays.

        A directory with a pretrained model is named by its absolute path.
        """
        params = self._params
        changes: dict[str, object] = {"precomputed": None, "device": "auto", "ray_workers": 0}
        if Path(params.model).is_dir():
            changes["model"] = str(Path(params.model).resolve())
        saved = params.model_copy(update=changes)
        parts = {"encoder": saved.model_dump(), "images": self._images.model_dump()}
        write_json(folder / ENCODER, parts)
        is_builtin = self._table.provenance.get("model") == self._kind.builtin
        if is_builtin and bool(self._table.is_present.any()):
            self._open_fitted().save(folder)

    @cached_property
    def _embed(self) -> Callable[[Sequence[Any]], np.ndarray]:
        params = self._params
        if params.model == self._kind.builtin:
            return self._open_fitted().encode
        if self._origin != IN_PARAMS and Path(params.model).is_absolute():
            self._require_directory(params.model)
        section, builtin = self._kind.section, self._kind.builtin
        source = locate_model(section, params.model, params.revision, builtin)
        encoder = self._kind.load_encoder(source, params)
        self._require_same(encoder.provenance)
        size = params.batch_size
        return lambda items: np.concatenate(
            [
                self._kind.embed(encoder, items[start : start + size])
                for start in range(0, len(items), size)
            ]
        )

    def _open_fitted(self) -> FittedEncoder:
        self._require_same({"model": self._params.model})
        return self._open_builtin()

    def _require_directory(self, model: str) -> None:
        """Refuses the directory of another machine."""
        if not Path(model).is_dir():
            raise ModelUnavailableError(
                f"{self._origin} names the directory {model!r}, which is not on this machine; copy "
                "the model there, or write the directory of your copy into the file"
            )

    def _require_same(self, provenance: Mapping[str, str]) -> None:
        """Refuses an encoder other than that of the graph's features."""
        if dict(provenance) != self._table.provenance:
            remedy = "run `dvc repro`, or put the old values back"
            if self._origin != IN_PARAMS:
                remedy = "name the directory of that model there"
            raise QuestionError(
                f"the features of this graph were made by {self._table.provenance}, but "
                f"{self._kind.section} in {self._origin} names {dict(provenance)}; {remedy}"
            )


def load_encoding(
    kind: type[Encoding[ParamsT]], params_type: type[ParamsT], folder: Path, table: FeatureTable
) -> EncodingOfUnseen[ParamsT]:
    """Reads the files of `EncodingOfUnseen.save`; a model is loaded where it is needed.

    Args:
        kind: The encoders of the modality.
        params_type: Type of the section.
        folder: Folder of the files.
        table: The graph's features.

    Raises:
        DataError: If `encoder.json` is missing or damaged.
        ConfigError: If it has other keys.
    """
    path = folder / ENCODER
    found = read_json(path)
    if not isinstance(found, dict) or found.keys() != {"encoder", "images"}:
        raise DataError(f"{path} is no encoder; pack the model again with `imf export --model`")
    params = validate(params_type, found["encoder"], str(path))
    images = validate(ImagesParams, found["images"], str(path))
    return EncodingOfUnseen(
        kind, params, images, table, str(path), lambda: kind.load_builtin(folder)
    )


def require_encoder(section: str, table: FeatureTable) -> None:
    """Refuses ready features, and features without any present entity.

    Raises:
        QuestionError: If the features have no encoder.
    """
    kind = section.removesuffix("_features")
    made_by = table.provenance.get("model", "")
    if made_by.startswith("precomputed:"):
        raise QuestionError(
            f"the {kind} features of this graph were given ready-made ({made_by}), so there is "
            f"nothing to extract those of a new {kind} with; ask without it, or set "
            f"{section}.precomputed in params.yaml to null, name the model that made them and run "
            "`dvc repro`"
        )
    if not bool(table.is_present.any()):
        raise QuestionError(f"no entity of this graph has a usable {kind}; ask without it")


def require_equal(section: str, found: np.ndarray, expected: np.ndarray) -> None:
    """Refuses a fit that does not reproduce the graph's features.

    Raises:
        QuestionError: If the vectors differ by more than rounding.
    """
    if found.shape != expected.shape or not np.allclose(found, expected, atol=TOLERANCE):
        raise QuestionError(
            f"fitted to the graph's files again, {section}.model does not give the features "
            f"in data/features; they, {section}.dim or the encoder have changed "
            "since, or another machine made them: "
            f"run `dvc repro --force --single-item {section}` and `dvc repro`"
        )


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays by name; equal arrays give equal bytes."""
    write_bytes(path, save({name: np.ascontiguousarray(each) for name, each in arrays.items()}))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads a file of `write_arrays`.

    Raises:
        DataError: If the file is missing or damaged.
    """
    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); pack the model again with `imf export --model`"
        ) from error
