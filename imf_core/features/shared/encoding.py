"""Encodes the inputs of all entities, or of an unseen one: built-in or with a pretrained model.

Image and text features share this course; a subclass has the encoders of its modality.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from imf_core.base.errors import QuestionError
from imf_core.base.modality import EncoderParams, FeatureInputs, UnseenInput
from imf_core.features.shared.model_files import (
    ModelSource,
    locate_model,
    require_no_revision,
    require_no_workers,
)
from imf_core.features.shared.ray import require_ray
from imf_core.graph.feature_table import FeatureTable, save_features

TOLERANCE = 1e-3
"""Vectors have length one; two fits of the same inputs differ by rounding alone."""

ParamsT = TypeVar("ParamsT", bound=EncoderParams)


class Encoding(ABC, Generic[ParamsT]):
    """The encoders of one modality, and the inputs of a graph's entities.

    Methods import their encoder: scikit-learn and Transformers take seconds, and only one is used.

    Args:
        inputs: Inputs of the stage.
        params: The section.

    Attributes:
        section: Name of the section.
        builtin: Value of `model` for the built-in encoder.
        graph_fingerprint: Fingerprint of the graph.
        is_empty: Whether no entity has an input.
    """

    section: ClassVar[str]
    builtin: ClassVar[str]
    graph_fingerprint: str
    is_empty: bool

    def __init__(self, inputs: FeatureInputs, params: ParamsT) -> None:
        self.inputs = inputs
        self.params = params

    @abstractmethod
    def encode_builtin(self) -> FeatureTable:
        """Fits the built-in encoder to all inputs and encodes them; there is at least one."""

    @abstractmethod
    def load_encoder(self, source: ModelSource, params: ParamsT) -> Any:
        """Loads a pretrained model; the result has `provenance`."""

    @abstractmethod
    def open_chunks(self, source: ModelSource) -> Any:
        """Opens the `ChunkStore` of these inputs with this model."""

    @abstractmethod
    def cut_chunks(self) -> tuple[Sequence[Callable[[], Any]], Callable[..., Any]]:
        """Returns picklable readers of all chunks, and the loader of an encoder of a chunk."""

    @abstractmethod
    def encode_pretrained(self, encoder: Any, chunks: Any) -> FeatureTable:
        """Encodes all inputs, at least one, with finished chunks from `chunks`."""

    @abstractmethod
    def without_any(self, provenance: dict[str, str]) -> FeatureTable:
        """Returns features without any present entity."""

    @abstractmethod
    def read_unseen(self, unseen: UnseenInput) -> Any:
        """Reads the input of an unseen entity; see `Modality.encode_unseen`."""

    @abstractmethod
    def encode_unseen_builtin(self, item: Any, table: FeatureTable) -> np.ndarray:
        """Fits the built-in encoder again, checks the fit by `table`, and encodes the input."""

    @abstractmethod
    def encode_unseen_pretrained(self, encoder: Any, item: Any) -> np.ndarray:
        """Encodes the input with a pretrained model, shape: (F,)."""

    def write(self, output: Path) -> FeatureTable:
        """Encodes the inputs of all entities and writes the features; see `Modality.write`."""
        params = self.params
        if params.model == self.builtin:
            require_no_revision(self.section, params.model, params.revision)
            require_no_workers(self.section, params.model, params.ray_workers)
            provenance = {"model": self.builtin}
            features = self.without_any(provenance) if self.is_empty else self.encode_builtin()
            save_features(features, self.graph_fingerprint, output)
            return features
        source = self._locate()
        if params.ray_workers:
            require_ray(self.section)
        # With workers, this process needs only the model's provenance.
        here = params.model_copy(update={"device": "cpu"}) if params.ray_workers else params
        encoder = self.load_encoder(source, here)
        if self.is_empty:
            features = self.without_any(encoder.provenance)
            save_features(features, self.graph_fingerprint, output)
            return features
        chunks = self.open_chunks(source)
        if params.ray_workers:
            from imf_core.features.shared.workers import compute_missing  # noqa: PLC0415

            reads, load = self.cut_chunks()
            compute_missing(source, params, load, reads, chunks, self.inputs.ray_address)
        features = self.encode_pretrained(encoder, chunks)
        save_features(features, self.graph_fingerprint, output)
        chunks.clear()
        return features

    def encode_unseen(self, unseen: UnseenInput, table: FeatureTable) -> Tensor:
        """Encodes the input of an unseen entity; see `Modality.encode_unseen`."""
        require_encoder(self.section, table)
        item = self.read_unseen(unseen)
        if self.params.model == self.builtin:
            require_same(self.section, {"model": self.builtin}, table)
            return torch.from_numpy(self.encode_unseen_builtin(item, table))
        encoder = self.load_encoder(self._locate(), self.params)
        require_same(self.section, encoder.provenance, table)
        return torch.from_numpy(self.encode_unseen_pretrained(encoder, item))

    def _locate(self) -> ModelSource:
        params = self.params
        return locate_model(self.section, params.model, params.revision, self.builtin)


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


def require_same(section: str, provenance: Mapping[str, str], table: FeatureTable) -> None:
    """Refuses an encoder other than that of the graph's features.

    Raises:
        QuestionError: If the encoders differ.
    """
    if dict(provenance) != table.provenance:
        raise QuestionError(
            f"the features of this graph were made by {table.provenance}, but {section} in "
            f"params.yaml names {dict(provenance)}; run `dvc repro`, or put the old values back"
        )


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
