"""Encodes the pictures of entities: one vector per entity.

An entity's vector is the mean of its pictures' vectors of length one. An entity without a picture
has a vector of zeros and `is_present` False.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imf_core.base.artifacts import count_parquet_rows
from imf_core.base.config import ImagesParams
from imf_core.base.errors import QuestionError
from imf_core.base.modality import FeatureInputs
from imf_core.base.terminal import track
from imf_core.features.image import ImageFeaturesParams
from imf_core.features.shared.encoding import Encoding, FittedEncoder
from imf_core.features.shared.model_files import ModelSource
from imf_core.features.shared.unseen import require_equal
from imf_core.graph.entities import read_num_entities
from imf_core.graph.feature_table import FeatureTable
from imf_core.raster.reencode import RejectedImage, quiet_pillow, reencode_image
from imf_core.raster.shards import cut_shards, read_shard, shard_paths


class ImageEncoding(Encoding[ImageFeaturesParams]):
    """Encodes the pictures of a graph's entities."""

    section = "image_features"
    builtin = "builtin:colour-pca"

    def __init__(self, inputs: FeatureInputs, params: ImageFeaturesParams) -> None:
        """Finds the shards.

        Raises:
            DataError: If a file is missing, damaged or of another graph.
        """
        super().__init__(inputs, params)
        self.num_entities, self.graph_fingerprint = read_num_entities(inputs.entities)
        self.shards = shard_paths(inputs.images, self.graph_fingerprint)
        self.is_empty = not self.shards

    def encode_builtin(self) -> FeatureTable:
        """Encodes all pictures with `builtin:colour-pca`."""
        from imf_core.features.image.builtin_image import (  # noqa: PLC0415 - loads slowly
            describe_images,
            reduce_descriptions,
        )

        entity_ids: list[np.ndarray] = []

        def pictures() -> Iterator[bytes]:
            for path in self.shards:
                ids, images = read_shard(path, self.num_entities)
                entity_ids.append(ids)
                yield from images

        total = sum(map(count_parquet_rows, self.shards))
        shown = track(pictures(), "image features, pictures", total)
        vectors = reduce_descriptions(describe_images(shown), self.params.dim)
        provenance = {"model": self.builtin}
        return mean_by_entity(np.concatenate(entity_ids), vectors, self.num_entities, provenance)

    @staticmethod
    def load_encoder(source: ModelSource, params: ImageFeaturesParams) -> Any:
        """Loads a vision model."""
        from imf_core.features.image.pretrained_image import load_image_encoder  # noqa: PLC0415

        return load_image_encoder(source, params)

    def open_chunks(self, source: ModelSource) -> Any:
        """Opens the finished chunks of these shards."""
        from imf_core.features.image.pretrained_image import image_chunks  # noqa: PLC0415

        return image_chunks(source, self.params, self.shards, self.inputs.unfinished)

    def cut_chunks(self) -> tuple[Sequence[Callable[[], Any]], Callable[..., Any]]:
        """Cuts the shards."""
        from imf_core.features.image import pretrained_image as pretrained  # noqa: PLC0415

        parts = cut_shards(self.shards, self.params.batch_size * pretrained.CHUNK_BATCHES)
        return [part.read for part in parts], pretrained.load_chunk_encoder

    def encode_pretrained(self, encoder: Any, chunks: Any) -> FeatureTable:
        """Encodes all pictures."""
        from imf_core.features.image.pretrained_image import encode_images  # noqa: PLC0415

        entity_ids, vectors = encode_images(
            encoder, self.shards, self.num_entities, self.params.batch_size, chunks
        )
        return mean_by_entity(entity_ids, vectors, self.num_entities, encoder.provenance)

    def without_any(self, provenance: dict[str, str]) -> FeatureTable:
        """Returns one column of zeros."""
        is_present = torch.zeros(self.num_entities, dtype=torch.bool)
        return FeatureTable(torch.zeros(self.num_entities, 1), is_present, provenance)

    @staticmethod
    def read_unseen(given: str, images: ImagesParams) -> bytes:
        """Reads and re-encodes the picture at the path `given`, like the stage `images`."""
        try:
            content = Path(given).read_bytes()
        except OSError as error:
            raise QuestionError(f"{given} cannot be read ({error.strerror})") from error
        with quiet_pillow():
            picture = reencode_image(
                content,
                size_pixels=images.size_pixels,
                max_bytes=images.max_source_bytes,
                max_pixels=images.max_source_pixels,
            )
        if isinstance(picture, RejectedImage):
            raise QuestionError(
                f"{given} is not taken as a picture: {picture.fault}, {picture.detail}"
            )
        return picture.content

    @staticmethod
    def embed(encoder: Any, items: Sequence[bytes]) -> np.ndarray:
        """Encodes pictures with a vision model."""
        vectors: np.ndarray = encoder.embed(encoder.preprocess(items))
        return vectors

    @staticmethod
    def load_builtin(folder: Path) -> FittedEncoder:
        """Reads a saved `builtin:colour-pca`; see `Encoding`."""
        from imf_core.features.image.builtin_image import FittedReduction  # noqa: PLC0415

        return FittedReduction.load(folder)

    def fit_again(self, table: FeatureTable) -> FittedEncoder:
        """Fits `builtin:colour-pca` to the graph's pictures; see `Encoding`."""
        from imf_core.features.image.builtin_image import (  # noqa: PLC0415 - loads slowly
            FittedReduction,
            describe_images,
        )

        ids, parts = [], []
        for shard in self.shards:
            shard_ids, pictures = read_shard(shard, self.num_entities)
            ids.append(shard_ids)
            parts.append(describe_images(pictures))
        described = np.concatenate(parts)
        fitted = FittedReduction.fit(described, self.params.dim)
        again = mean_by_entity(np.concatenate(ids), fitted.apply(described), self.num_entities, {})
        require_equal(self.section, again.vectors.numpy(), table.vectors.numpy())
        return fitted


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
