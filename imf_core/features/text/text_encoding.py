"""Encodes the names and descriptions of entities: one vector per entity.

An entity without a text (see `imf_core.graph.entities`) has a vector of zeros and `is_present`
False.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imf_core.base.config import ImagesParams
from imf_core.base.modality import FeatureInputs
from imf_core.features.shared.encoding import Encoding, FittedEncoder
from imf_core.features.shared.model_files import ModelSource
from imf_core.features.shared.unseen import require_equal
from imf_core.features.text import TextFeaturesParams
from imf_core.graph.entities import read_entity_texts
from imf_core.graph.feature_table import FeatureTable


class TextEncoding(Encoding[TextFeaturesParams]):
    """Encodes the texts of a graph's entities."""

    section = "text_features"
    builtin = "builtin:tfidf-svd"

    def __init__(self, inputs: FeatureInputs, params: TextFeaturesParams) -> None:
        """Reads the texts.

        Raises:
            DataError: If a file is missing, damaged or of another graph.
        """
        super().__init__(inputs, params)
        entities = read_entity_texts(inputs.entities, inputs.looked_up)
        self.graph_fingerprint = entities.graph_fingerprint
        self.texts = [text for text in entities.texts if text]
        self.has_text = np.array([bool(text) for text in entities.texts], dtype=np.bool_)
        self.is_empty = not self.texts

    def encode_builtin(self) -> FeatureTable:
        """Encodes all texts with `builtin:tfidf-svd`."""
        from imf_core.features.text.builtin_text import encode_texts_tfidf  # noqa: PLC0415

        vectors = encode_texts_tfidf(self.texts, self.params.dim)
        return self._spread(vectors, {"model": self.builtin})

    @staticmethod
    def load_encoder(source: ModelSource, params: TextFeaturesParams) -> Any:
        """Loads a text model."""
        from imf_core.features.text.pretrained_text import load_text_encoder  # noqa: PLC0415

        return load_text_encoder(source, params)

    def open_chunks(self, source: ModelSource) -> Any:
        """Opens the finished chunks of these texts."""
        from imf_core.features.text.pretrained_text import text_chunks  # noqa: PLC0415

        return text_chunks(source, self.params, self.texts, self.inputs.unfinished)

    def cut_chunks(self) -> tuple[Sequence[Callable[[], Any]], Callable[..., Any]]:
        """Cuts the texts by length."""
        from imf_core.features.text import pretrained_text as pretrained  # noqa: PLC0415

        parts = pretrained.cut_texts(self.texts, self.params.batch_size)
        return [partial(list[str], part) for part in parts], pretrained.load_chunk_encoder

    def encode_pretrained(self, encoder: Any, chunks: Any) -> FeatureTable:
        """Encodes all texts."""
        from imf_core.features.text.pretrained_text import encode_texts  # noqa: PLC0415

        vectors = encode_texts(encoder, self.texts, self.params.batch_size, chunks)
        return self._spread(vectors, encoder.provenance)

    def without_any(self, provenance: dict[str, str]) -> FeatureTable:
        """Returns one column of zeros."""
        return self._spread(np.zeros((0, 1), np.float32), provenance)

    @staticmethod
    def read_unseen(given: str, images: ImagesParams) -> str:  # noqa: ARG004 - of other modalities
        """Returns the text."""
        return given

    @staticmethod
    def embed(encoder: Any, items: Sequence[str]) -> np.ndarray:
        """Encodes texts with a text model."""
        vectors: np.ndarray = encoder.embed(items)
        return vectors

    @staticmethod
    def load_builtin(folder: Path) -> FittedEncoder:
        """Reads a saved `builtin:tfidf-svd`; see `Encoding`."""
        from imf_core.features.text.builtin_text import TextEncoder  # noqa: PLC0415

        return TextEncoder.load(folder)

    def fit_again(self, table: FeatureTable) -> FittedEncoder:
        """Fits `builtin:tfidf-svd` to the graph's texts; see `Encoding`."""
        from imf_core.features.text.builtin_text import fit_texts  # noqa: PLC0415

        fitted = fit_texts(self.texts, self.params.dim)
        require_equal(self.section, fitted.vectors, table.vectors.numpy()[self.has_text])
        return fitted.encoder()

    def _spread(self, vectors: np.ndarray, provenance: dict[str, str]) -> FeatureTable:
        """Spreads the vectors of the texts, (n, F), to one row per entity, (E, F).

        A vector of zeros (a text without a kept n-gram) counts as no text.
        """
        rows = np.zeros((len(self.has_text), vectors.shape[1]), np.float32)
        rows[self.has_text] = vectors
        is_present = self.has_text & rows.any(axis=1)
        return FeatureTable(torch.from_numpy(rows), torch.from_numpy(is_present), provenance)
