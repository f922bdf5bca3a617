"""The text features of all entities: names and descriptions in, one vector per entity out.

An entity without a text (`imf_core.features.entities` says when) has a vector of zeros and
`is_present` False.
"""

from pathlib import Path

import numpy as np
import torch

from imf_core.config import TextFeaturesParams
from imf_core.features.entities import read_entity_texts
from imf_core.features.model_source import locate_model, require_no_revision
from imf_core.features.table import FeatureTable, save_features

BUILTIN = "builtin:tfidf-svd"


def write_text_features(
    entities_path: Path,
    looked_up_path: Path,
    params: TextFeaturesParams,
    unfinished_folder: Path,
    output: Path,
) -> FeatureTable:
    """Encodes the texts of all entities and saves the features.

    Args:
        entities_path: `entities.parquet` of the graph.
        looked_up_path: `descriptions.parquet`, for entities that the graph says nothing about.
        params: The encoder.
        unfinished_folder: Keeps finished chunks of a pretrained model until `output` stands.
        output: The features file.

    Returns:
        What was saved.

    Raises:
        DataError: If the input is missing or damaged.
        ConfigError: If the parameters contradict one another.
        ModelUnavailableError: If the model cannot be loaded; finished chunks stay.
    """
    entities = read_entity_texts(entities_path, looked_up_path)
    texts = [text for text in entities.texts if text]
    if params.model == BUILTIN:
        require_no_revision("text_features", params.model, params.revision)
        # scikit-learn and Transformers take seconds to import: only the one that is used.
        from imf_core.features.builtin_text import encode_texts_tfidf  # noqa: PLC0415

        vectors = encode_texts_tfidf(texts, params.dim) if texts else _nothing()
        features = _spread(entities.texts, vectors, {"model": BUILTIN})
        save_features(features, entities.graph_fingerprint, output)
        return features
    source = locate_model("text_features", params.model, params.revision, BUILTIN)
    from imf_core.features import pretrained_text as pretrained  # noqa: PLC0415

    encoder = pretrained.load_text_encoder(source, params)
    chunks = pretrained.text_chunks(source, params, texts, unfinished_folder)
    vectors = _nothing()
    if texts:
        vectors = pretrained.encode_texts(encoder, texts, params.batch_size, chunks)
    features = _spread(entities.texts, vectors, encoder.provenance)
    save_features(features, entities.graph_fingerprint, output)
    chunks.clear()
    return features


def _spread(texts: list[str], vectors: np.ndarray, provenance: dict[str, str]) -> FeatureTable:
    """Puts the vectors of the non-empty texts, (n, F), into a row per entity, (E, F).

    A vector of zeros (a text of which no n-gram was kept) says nothing and counts as no text.
    """
    is_present = np.array([bool(text) for text in texts], dtype=np.bool_)
    rows = np.zeros((len(texts), vectors.shape[1]), np.float32)
    rows[is_present] = vectors
    is_present &= rows.any(axis=1)
    return FeatureTable(torch.from_numpy(rows), torch.from_numpy(is_present), provenance)


def _nothing() -> np.ndarray:
    """The vectors of no text at all: one column."""
    return np.zeros((0, 1), np.float32)
