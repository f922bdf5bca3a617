"""Computes the text features of all entities: names and descriptions in, one vector each out.

An entity without a text (see `imf_core.graph.entities`) has a vector of zeros and `is_present`
False.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch

from imf_core.base.config import TextFeaturesParams
from imf_core.features.shared.model_files import (
    locate_model,
    require_no_revision,
    require_no_workers,
)
from imf_core.features.shared.ray import require_ray
from imf_core.graph.entities import read_entity_texts
from imf_core.graph.feature_table import FeatureTable, save_features

BUILTIN = "builtin:tfidf-svd"


def write_text_features(
    entities_path: Path,
    looked_up_path: Path,
    params: TextFeaturesParams,
    unfinished_folder: Path,
    output: Path,
    ray_address: str | None = None,
) -> FeatureTable:
    """Encodes the texts of all entities and saves the features.

    Args:
        entities_path: `entities.parquet` of the graph.
        looked_up_path: `descriptions.parquet`, for entities without a text in the graph.
        params: The encoder.
        unfinished_folder: Folder of a pretrained model's finished chunks, until `output` is
            written.
        output: The features file.
        ray_address: Address of the Ray cluster for workers; None: this machine.

    Returns:
        The saved features.

    Raises:
        DataError: If the input is missing or damaged.
        ConfigError: If the parameters contradict one another.
        ModelUnavailableError: If the model cannot be loaded; finished chunks stay.
        ClusterError: If the workers are unavailable or fail; finished chunks stay.
    """
    entities = read_entity_texts(entities_path, looked_up_path)
    texts = [text for text in entities.texts if text]
    if params.model == BUILTIN:
        require_no_revision("text_features", params.model, params.revision)
        require_no_workers("text_features", params.model, params.ray_workers)
        # scikit-learn and Transformers take seconds to import: import only the needed one.
        from imf_core.features.text.builtin_text import encode_texts_tfidf  # noqa: PLC0415

        vectors = encode_texts_tfidf(texts, params.dim) if texts else _nothing()
        features = _spread(entities.texts, vectors, {"model": BUILTIN})
        save_features(features, entities.graph_fingerprint, output)
        return features
    source = locate_model("text_features", params.model, params.revision, BUILTIN)
    if params.ray_workers:
        require_ray("text_features")
    from imf_core.features.shared.workers import compute_missing  # noqa: PLC0415
    from imf_core.features.text import pretrained_text as pretrained  # noqa: PLC0415

    # With workers, this process needs only the model's provenance.
    here = params.model_copy(update={"device": "cpu"}) if params.ray_workers else params
    encoder = pretrained.load_text_encoder(source, here)
    chunks = pretrained.text_chunks(source, params, texts, unfinished_folder)
    if params.ray_workers:
        parts = pretrained.cut_texts(texts, params.batch_size)
        reads = [partial(list[str], part) for part in parts]
        load = pretrained.load_chunk_encoder
        compute_missing(source, params, load, reads, chunks, ray_address)
    vectors = _nothing()
    if texts:
        vectors = pretrained.encode_texts(encoder, texts, params.batch_size, chunks)
    features = _spread(entities.texts, vectors, encoder.provenance)
    save_features(features, entities.graph_fingerprint, output)
    chunks.clear()
    return features


def _spread(texts: list[str], vectors: np.ndarray, provenance: dict[str, str]) -> FeatureTable:
    """Spreads the vectors of non-empty texts, (n, F), to one row per entity, (E, F).

    A vector of zeros (a text without a kept n-gram) counts as no text.
    """
    is_present = np.array([bool(text) for text in texts], dtype=np.bool_)
    rows = np.zeros((len(texts), vectors.shape[1]), np.float32)
    rows[is_present] = vectors
    is_present &= rows.any(axis=1)
    return FeatureTable(torch.from_numpy(rows), torch.from_numpy(is_present), provenance)


def _nothing() -> np.ndarray:
    """Returns an empty table of vectors with one column."""
    return np.zeros((0, 1), np.float32)
