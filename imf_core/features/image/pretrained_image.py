"""Image vectors from a CLIP-family model, resumable.

In: shards of pictures. Out: one vector of length one per picture. The processor classes are
imported by name: the automatic choice depends on the installed packages and changes pixels.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm
from transformers import (
    AutoConfig,
    CLIPImageProcessorPil,
    CLIPVisionModelWithProjection,
    SiglipImageProcessorPil,
    SiglipVisionModel,
)

from imf_core.base.artifacts import count_parquet_rows, file_sha256
from imf_core.base.device import resolve_device
from imf_core.base.errors import ModelUnavailableError
from imf_core.features.image import ImageFeaturesParams
from imf_core.features.shared.model_files import ModelSource, check_model_files
from imf_core.features.shared.pretrained import (
    SHAPE_ERRORS,
    ChunkStore,
    choose_device,
    choose_dtype,
    computing,
    describe_encoder,
    loading,
    require_weights,
    unit_rows,
)
from imf_core.raster.reencode import map_in_order, open_rgb
from imf_core.raster.shards import read_shard

CHUNK_BATCHES = 8  # the work that a kill can lose

_REMEDY = (
    "check that the image processor (preprocessor_config.json) and the weights (config.json) are "
    "of one model and one picture size"
)

# Model type -> image processor, model, and the output field of the vector.
_FAMILIES: dict[str, tuple[Any, Any, str]] = {
    "clip": (CLIPImageProcessorPil, CLIPVisionModelWithProjection, "image_embeds"),
    "clip_vision_model": (CLIPImageProcessorPil, CLIPVisionModelWithProjection, "image_embeds"),
    "siglip": (SiglipImageProcessorPil, SiglipVisionModel, "pooler_output"),
    "siglip_vision_model": (SiglipImageProcessorPil, SiglipVisionModel, "pooler_output"),
}


@dataclass(frozen=True)
class ImageEncoder:
    """A loaded vision model.

    Attributes:
        source: Source of the model.
        processor: Resizes, crops and normalises pictures.
        model: In evaluation mode, on its device.
        output: Output field of the picture's vector.
        levels: Normalised value of each level of each colour, on the model's device, shape:
            (3, 256), dtype: the model's.
    """

    source: ModelSource
    processor: Any
    model: Any
    output: str
    levels: Tensor

    @property
    def provenance(self) -> dict[str, str]:
        """Metadata of the encoder."""
        return {**self.source.provenance(), "processor": type(self.processor).__name__}

    def preprocess(self, images: Sequence[bytes]) -> Tensor:
        """Decodes, resizes and crops one batch; shape: (B, 3, height, width), dtype: uint8."""
        pictures = [open_rgb(content) for content in images]
        with _computing(self.source, f"{len(pictures)} pictures"):
            pixels: Tensor = self.processor(
                pictures, do_rescale=False, do_normalize=False, return_tensors="pt"
            )["pixel_values"]
        return pixels

    def normalise(self, pixels: Tensor) -> Tensor:
        """Looks up the processor's normalised value of each level.

        Args:
            pixels: shape: (B, 3, height, width), dtype: uint8.

        Returns:
            The model's input, of the same shape, on the model's device, dtype: the model's.
        """
        pixels = pixels.to(self.levels.device)
        colours = [
            each.index_select(0, pixels[:, colour].flatten().int()).view_as(pixels[:, colour])
            for colour, each in enumerate(self.levels)
        ]
        return torch.stack(colours, dim=1)

    def embed(self, pixels: Tensor) -> np.ndarray:
        """Encodes one batch; shape: (B, F), dtype: float32, rows of length one."""
        inputs = f"{len(pixels)} pictures of {pixels.shape[3]} x {pixels.shape[2]} pixels"
        with _computing(self.source, inputs), torch.inference_mode():
            vectors = self.model(pixel_values=self.normalise(pixels))[self.output]
        return unit_rows(vectors, self.source)


def _computing(source: ModelSource, inputs: str) -> AbstractContextManager[None]:
    return computing(source, inputs, _REMEDY, (*SHAPE_ERRORS, ValueError))


def load_image_encoder(source: ModelSource, params: ImageFeaturesParams) -> ImageEncoder:
    """Loads a vision model and its processor.

    Raises:
        ModelUnavailableError: If it cannot be loaded, or is of an unknown family.
        ConfigError: If CUDA is requested and there is none.
    """
    device = resolve_device(params.device, "image_features.device")
    with loading(source):
        check_model_files(source)
        config = AutoConfig.from_pretrained(
            source.location, revision=source.revision, trust_remote_code=False
        )
    if config.model_type not in _FAMILIES:
        raise ModelUnavailableError(
            f"image_features.model in params.yaml: {source.location!r} is a {config.model_type!r} "
            "model; known are clip and siglip"
        )
    processor_class, model_class, output = _FAMILIES[config.model_type]
    with loading(source):
        if config.model_type == "clip":  # the saved model has this width; its part may differ
            config.vision_config.projection_dim = config.projection_dim
        processor = processor_class.from_pretrained(
            source.location, revision=source.revision, trust_remote_code=False
        )
        model, info = model_class.from_pretrained(
            source.location,
            config=getattr(config, "vision_config", config),
            revision=source.revision,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=choose_dtype(device),
            output_loading_info=True,
        )
    require_weights(source, model, info["missing_keys"])
    with loading(source):
        levels = read_levels(processor).to(device, model.dtype)
        return ImageEncoder(source, processor, model.to(device).eval(), output, levels)


def image_chunks(
    source: ModelSource, params: ImageFeaturesParams, shards: Sequence[Path], root: Path
) -> ChunkStore:
    """Opens the finished chunks of these shards with this model."""
    key = {
        **describe_encoder(source),
        "batch_size": str(params.batch_size),
        "device": choose_device(source, params),
        "shards": " ".join(file_sha256(path) for path in shards),
    }
    return ChunkStore(root, key)


def encode_images(
    encoder: ImageEncoder,
    shards: Sequence[Path],
    num_entities: int,
    batch_size: int,
    chunks: ChunkStore,
) -> tuple[np.ndarray, np.ndarray]:
    """Encodes every picture, with finished chunks from `chunks`.

    Returns:
        entity ids, shape: (n,), dtype: int64; vectors, shape: (n, F), dtype: float32.
    """
    entity_ids: list[np.ndarray] = []
    vectors: list[np.ndarray] = []
    total = sum(map(count_parquet_rows, shards))
    with tqdm(total=total, desc="image features", unit="image", disable=None) as bar:
        for path in shards:
            ids, images = read_shard(path, num_entities)
            entity_ids.append(ids)
            for part in _slices(images, batch_size * CHUNK_BATCHES):
                compute = partial(_encode_chunk, encoder, part, batch_size)
                vectors.append(chunks.get(len(vectors), compute))
                bar.update(len(part))
    return np.concatenate(entity_ids), np.concatenate(vectors)


def _encode_chunk(encoder: ImageEncoder, images: Sequence[bytes], batch_size: int) -> np.ndarray:
    """Encodes pictures in batches; threads decode in advance."""
    workers = min(8, os.cpu_count() or 1)
    batches = map_in_order(encoder.preprocess, _slices(images, batch_size), workers)
    return np.concatenate([encoder.embed(pixels) for pixels in batches])


def load_chunk_encoder(
    source: ModelSource, params: ImageFeaturesParams
) -> Callable[[Sequence[bytes]], np.ndarray]:
    """Loads the model in a worker and returns the encoder of a chunk."""
    return partial(_encode_chunk, load_image_encoder(source, params), batch_size=params.batch_size)


def read_levels(processor: Any) -> Tensor:
    """Returns the processor's normalised value of each level; shape: (3, 256), dtype: float32.

    The processor rescales and normalises each pixel, which takes most of its time, although there
    are only 256 levels.
    """
    every_level = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = Image.fromarray(every_level).convert("RGB")
    made: Tensor = processor([picture], do_resize=False, do_center_crop=False, return_tensors="pt")[
        "pixel_values"
    ]
    return made[0].reshape(3, 256)


def _slices(items: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    """Cuts a list into consecutive parts of `size`; the last one may be shorter."""
    return (items[start : start + size] for start in range(0, len(items), size))
