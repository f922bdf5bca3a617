"""Encodes the inputs of all entities: built-in or with a pretrained model.

Image and text features share this course; a subclass has the encoders of its modality.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np

from imf_core.base.config import ImagesParams
from imf_core.base.modality import EncoderParams, FeatureInputs
from imf_core.features.shared.model_files import (
    ModelSource,
    locate_model,
    require_no_revision,
    require_no_workers,
)
from imf_core.features.shared.ray import require_ray
from imf_core.graph.feature_table import FeatureTable, save_features

ParamsT = TypeVar("ParamsT", bound=EncoderParams)


class FittedEncoder(Protocol):
    """A built-in encoder, fitted."""

    def encode(self, items: Sequence[Any], /) -> np.ndarray:
        """Encodes m inputs, shape: (m, F), dtype: float32."""
        ...

    def save(self, folder: Path, /) -> None:
        """Writes the fitted arrays."""
        ...


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

    @staticmethod
    @abstractmethod
    def load_encoder(source: ModelSource, params: ParamsT) -> Any:
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

    @staticmethod
    @abstractmethod
    def read_unseen(given: str, images: ImagesParams) -> Any:
        """Reads the input of an unseen entity; see `UnseenEncoder.encode`."""

    @staticmethod
    @abstractmethod
    def embed(encoder: Any, items: Sequence[Any]) -> np.ndarray:
        """Encodes a batch of inputs with a pretrained model, shape: (m, F), dtype: float32."""

    @staticmethod
    @abstractmethod
    def load_builtin(folder: Path) -> FittedEncoder:
        """Reads the built-in encoder of a packed model.

        Raises:
            DataError: If a file is missing or damaged.
        """

    @abstractmethod
    def fit_again(self, table: FeatureTable) -> FittedEncoder:
        """Fits the built-in encoder to the graph's inputs, and checks it by their features.

        Raises:
            QuestionError: If the features differ.
        """

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
        source = locate_model(self.section, params.model, params.revision, self.builtin)
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
