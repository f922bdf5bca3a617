"""Computes the features of one unseen entity with the encoder of the graph's features.

In: a text or a picture, and the inputs and outputs of the feature stages. Out: a vector in the
space of the graph's vectors. A pretrained model is loaded as in the stage; a built-in one is fitted
again to the graph's texts or pictures, and must reproduce the features' file.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from imf_core.base.config import ImageFeaturesParams, ImagesParams, TextFeaturesParams
from imf_core.base.errors import QuestionError
from imf_core.features.image import images_to_vectors
from imf_core.features.image.images_to_vectors import mean_by_entity
from imf_core.features.shared.model_files import Section, locate_model
from imf_core.features.text import texts_to_vectors
from imf_core.graph.entities import entity_text, read_entity_texts
from imf_core.graph.feature_table import FeatureTable
from imf_core.raster.reencode import RejectedImage, quiet_pillow, reencode_image
from imf_core.raster.shards import read_shard, shard_paths

TOLERANCE = 1e-3
"""Vectors have length one; two fits of the same inputs differ by rounding alone."""


def encode_new_text(
    name: str,
    description: str,
    entities_path: Path,
    looked_up_path: Path,
    params: TextFeaturesParams,
    table: FeatureTable,
) -> Tensor:
    """Encodes the text of an unseen entity.

    Args:
        name: Name of the entity; "" if it has none.
        description: Description of the entity.
        entities_path: `entities.parquet` of the graph.
        looked_up_path: `descriptions.parquet` of the stage.
        params: The encoder.
        table: The graph's text features.

    Returns:
        shape: (F,), dtype: float32.

    Raises:
        QuestionError: If the graph's features have another encoder, or the vector is zero.
        DataError: If a file is missing or damaged.
        ModelUnavailableError: If the model cannot be loaded.
    """
    _require_encoder("text_features", table)
    text = entity_text("", name, description)
    if params.model == texts_to_vectors.BUILTIN:
        _require_same("text_features", {"model": params.model}, table)
        from imf_core.features.text.builtin_text import fit_texts  # noqa: PLC0415 - loads slowly

        texts = read_entity_texts(entities_path, looked_up_path).texts
        fitted = fit_texts([each for each in texts if each], params.dim)
        has_text = np.array([bool(each) for each in texts])
        _require_equal("text_features", fitted.vectors, table.vectors.numpy()[has_text])
        vector = fitted.encode(text)
    else:
        from imf_core.features.text.pretrained_text import load_text_encoder  # noqa: PLC0415

        builtin = texts_to_vectors.BUILTIN
        source = locate_model("text_features", params.model, params.revision, builtin)
        encoder = load_text_encoder(source, params)
        _require_same("text_features", encoder.provenance, table)
        vector = encoder.embed([text])[0]
    if not vector.any():
        raise QuestionError(f"the text {text!r} shares nothing with those of the graph; say more")
    return torch.from_numpy(vector)


def encode_new_image(
    path: Path,
    entities_path: Path,
    images_folder: Path,
    images: ImagesParams,
    params: ImageFeaturesParams,
    table: FeatureTable,
) -> Tensor:
    """Encodes a picture of an unseen entity.

    Args:
        path: The picture's file.
        entities_path: `entities.parquet` of the graph.
        images_folder: Shards and manifest of the images stage.
        images: Parameters of re-encoding.
        params: The encoder.
        table: The graph's image features.

    Returns:
        shape: (F,), dtype: float32.

    Raises:
        QuestionError: If the graph's features have another encoder, or the file is no picture.
        DataError: If a file is missing or damaged.
        ModelUnavailableError: If the model cannot be loaded.
    """
    _require_encoder("image_features", table)
    picture = _read_picture(path, images)
    if params.model == images_to_vectors.BUILTIN:
        _require_same("image_features", {"model": params.model}, table)
        from imf_core.features.image.builtin_image import (  # noqa: PLC0415 - loads slowly
            FittedReduction,
            describe_images,
        )

        entities = read_entity_texts(entities_path)
        ids, parts = [], []
        for shard in shard_paths(images_folder, entities.graph_fingerprint):
            shard_ids, pictures = read_shard(shard, entities.num_entities)
            ids.append(shard_ids)
            parts.append(describe_images(pictures))
        described = np.concatenate(parts)
        fitted = FittedReduction(described, params.dim)
        again = mean_by_entity(
            np.concatenate(ids), fitted.apply(described), entities.num_entities, {}
        )
        _require_equal("image_features", again.vectors.numpy(), table.vectors.numpy())
        return torch.from_numpy(fitted.apply(describe_images([picture]))[0])
    from imf_core.features.image.pretrained_image import load_image_encoder  # noqa: PLC0415

    builtin = images_to_vectors.BUILTIN
    source = locate_model("image_features", params.model, params.revision, builtin)
    encoder = load_image_encoder(source, params)
    _require_same("image_features", encoder.provenance, table)
    return torch.from_numpy(encoder.embed(encoder.preprocess([picture]))[0])


def _read_picture(path: Path, images: ImagesParams) -> bytes:
    """Reads and re-encodes a picture like the images stage."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise QuestionError(f"{path} cannot be read ({error.strerror})") from error
    with quiet_pillow():
        picture = reencode_image(
            content,
            size_pixels=images.size_pixels,
            max_bytes=images.max_source_bytes,
            max_pixels=images.max_source_pixels,
        )
    if isinstance(picture, RejectedImage):
        raise QuestionError(f"{path} is not taken as a picture: {picture.fault}, {picture.detail}")
    return picture.content


def _require_encoder(section: Section, table: FeatureTable) -> None:
    """Refuses ready features, and features without any present entity."""
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


def _require_same(section: Section, provenance: Mapping[str, str], table: FeatureTable) -> None:
    """Refuses an encoder other than that of the graph's features."""
    if dict(provenance) != table.provenance:
        raise QuestionError(
            f"the features of this graph were made by {table.provenance}, but {section} in "
            f"params.yaml names {dict(provenance)}; run `dvc repro`, or put the old values back"
        )


def _require_equal(section: Section, found: np.ndarray, expected: np.ndarray) -> None:
    """Refuses a fit that does not reproduce the graph's features."""
    if found.shape != expected.shape or not np.allclose(found, expected, atol=TOLERANCE):
        raise QuestionError(
            f"fitted to the graph's files again, {section}.model does not give the features "
            f"in data/features; they, {section}.dim or the encoder have changed "
            "since, or another machine made them: "
            f"run `dvc repro --force --single-item {section}` and `dvc repro`"
        )
