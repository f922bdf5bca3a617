"""Computes the image features of all entities: pictures in, one vector per entity out.

An entity's vector is the mean of its pictures' vectors of length one. An entity without a picture
has a vector of zeros and `is_present` False.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from imf_core.base.config import ImageFeaturesParams
from imf_core.features.shared.model_files import (
    locate_model,
    require_no_revision,
    require_no_workers,
)
from imf_core.features.shared.ray import require_ray
from imf_core.graph.entities import read_entity_texts
from imf_core.graph.feature_table import FeatureTable, save_features
from imf_core.raster.shards import cut_shards, read_shard, shard_paths

BUILTIN = "builtin:colour-pca"


def write_image_features(
    entities_path: Path,
    images_folder: Path,
    params: ImageFeaturesParams,
    unfinished_folder: Path,
    output: Path,
    ray_address: str | None = None,
) -> FeatureTable:
    """Encodes the pictures of all entities and saves the features.

    Args:
        entities_path: `entities.parquet` of the graph.
        images_folder: Shards and manifest of the images stage.
        params: The encoder.
        unfinished_folder: Folder of a pretrained model's finished chunks, until `output` is
            written.
        output: The features file.
        ray_address: Address of the Ray cluster for workers; None: this machine.

    Returns:
        The saved features.

    Raises:
        DataError: If an input is missing, damaged or of another graph.
        ConfigError: If the parameters contradict one another.
        ModelUnavailableError: If the model cannot be loaded; finished chunks stay.
        ClusterError: If the workers are unavailable or fail; finished chunks stay.
    """
    entities = read_entity_texts(entities_path)
    shards = shard_paths(images_folder, entities.graph_fingerprint)
    if params.model == BUILTIN:
        require_no_revision("image_features", params.model, params.revision)
        require_no_workers("image_features", params.model, params.ray_workers)
        features = _encode_builtin(shards, entities.num_entities, params.dim)
        save_features(features, entities.graph_fingerprint, output)
        return features
    source = locate_model("image_features", params.model, params.revision, BUILTIN)
    if params.ray_workers:
        require_ray("image_features")
    # Importing Transformers takes seconds, and the built-in encoder does not need it.
    from imf_core.features.image import pretrained_image as pretrained  # noqa: PLC0415
    from imf_core.features.shared.workers import compute_missing  # noqa: PLC0415

    # With workers, this process needs only the model's provenance.
    here = params.model_copy(update={"device": "cpu"}) if params.ray_workers else params
    encoder = pretrained.load_image_encoder(source, here)
    if not shards:
        features = without_any(entities.num_entities, encoder.provenance)
        save_features(features, entities.graph_fingerprint, output)
        return features
    chunks = pretrained.image_chunks(source, params, shards, unfinished_folder)
    if params.ray_workers:
        parts = cut_shards(shards, params.batch_size * pretrained.CHUNK_BATCHES)
        reads = [part.read for part in parts]
        load = pretrained.load_chunk_encoder
        compute_missing(source, params, load, reads, chunks, ray_address)
    entity_ids, vectors = pretrained.encode_images(
        encoder, shards, entities.num_entities, params.batch_size, chunks
    )
    features = mean_by_entity(entity_ids, vectors, entities.num_entities, encoder.provenance)
    save_features(features, entities.graph_fingerprint, output)
    chunks.clear()
    return features


def mean_by_entity(
    entity_ids: np.ndarray, vectors: np.ndarray, num_entities: int, provenance: dict[str, str]
) -> FeatureTable:
    """Averages the vectors of each entity.

    Args:
        entity_ids: shape: (n,), dtype: int64.
        vectors: shape: (n, F), dtype: float32.
        num_entities: E.
        provenance: Metadata of the encoder.
    """
    counts = np.bincount(entity_ids, minlength=num_entities)
    sums = np.zeros((num_entities, vectors.shape[1]), np.float64)
    np.add.at(sums, entity_ids, vectors)
    means = (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)
    return FeatureTable(torch.from_numpy(means), torch.from_numpy(counts > 0), provenance)


def without_any(num_entities: int, provenance: dict[str, str]) -> FeatureTable:
    """Returns features without any present entity: one column of zeros."""
    is_present = torch.zeros(num_entities, dtype=torch.bool)
    return FeatureTable(torch.zeros(num_entities, 1), is_present, provenance)


def _encode_builtin(shards: list[Path], num_entities: int, dim: int) -> FeatureTable:
    """Encodes all shards with `builtin:colour-pca`."""
    from imf_core.features.image.builtin_image import (  # noqa: PLC0415 - scikit-learn loads slowly
        describe_images,
        reduce_descriptions,
    )

    provenance = {"model": BUILTIN}
    if not shards:
        return without_any(num_entities, provenance)
    entity_ids: list[np.ndarray] = []

    def pictures() -> Iterator[bytes]:
        for path in shards:
            ids, images = read_shard(path, num_entities)
            entity_ids.append(ids)
            yield from images

    vectors = reduce_descriptions(describe_images(pictures()), dim)
    return mean_by_entity(np.concatenate(entity_ids), vectors, num_entities, provenance)
