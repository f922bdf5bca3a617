"""Storage: pictures decoded and re-encoded, features and shards written and read.

Against what can hardly be left out: Pillow's decoding of the same files, NumPy's own files of the
same arrays, and Arrow's writer and reader without what ours adds (atomic names, hashes, checks).
"""

import io
import tempfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from transformers import CLIPVisionConfig

from benchmarks.accuracy import read_params
from benchmarks.case import time_side_by_side
from benchmarks.encoders import make_image_encoder, make_sources, reencode, write_shard
from benchmarks.results import Row
from imf_core.base.config import SettledParams
from imf_core.features.image import MODALITY as IMAGES
from imf_core.graph.feature_table import FeatureTable, load_features, save_features
from imf_core.raster.shards import read_shard

PART = "storage"
ROUNDS = 5
NUM_SOURCES = 40
PICTURES_PER_SHARD = 2_000
NUM_ENTITIES, DIM = 20_000, 512
FINGERPRINT = "0" * 64

ENCODER = CLIPVisionConfig(
    hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
)
"""Takes pictures as CLIP B/32 does; its forward pass is not measured here."""

Works = Mapping[str, Callable[[], object]]


def measure(threads: int) -> list[Row]:
    """Measures pictures, then files."""
    params = read_params({})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [
            *_measure_pictures(params, folder, threads),
            *_measure_features(folder, threads),
            *_measure_shards(folder, threads),
        ]


def _measure_pictures(params: SettledParams, folder: Path, threads: int) -> list[Row]:
    """Re-encoding of sources and preprocessing for an encoder, against decoding alone."""
    sources = make_sources(NUM_SOURCES)
    pictures = [reencode(source) for source in sources]
    encoder = make_image_encoder(ENCODER, params.features(IMAGES), folder / "encoder")
    works = {
        "images re-encoded": lambda: [reencode(source) for source in sources],
        "their decoding": lambda: [_decode(source) for source in sources],
        "images preprocessed for CLIP": lambda: encoder.normalise(encoder.preprocess(pictures)),
        "decoding of these": lambda: [_decode(picture) for picture in pictures],
    }
    seconds = time_side_by_side(works, ROUNDS, threads)
    pairs = [
        ("images re-encoded", "their decoding", "sources of 0.1 to 1.4 megapixels"),
        ("images preprocessed for CLIP", "decoding of these", "pictures of 224 pixels"),
    ]
    rows = []
    for ours, bare, note in pairs:
        rows.append(
            _ratio(f"{ours}, rate against Pillow's decoding alone", seconds, bare, ours, note)
        )
        rows += [
            Row(PART, name, NUM_SOURCES / seconds[name], "images/s", "higher", None, False, note)
            for name in (ours, bare)
        ]
    return rows


def _measure_features(folder: Path, threads: int) -> list[Row]:
    """A table of features against NumPy's file of the same vectors."""
    vectors = torch.randn(NUM_ENTITIES, DIM, generator=torch.Generator().manual_seed(0))
    features = FeatureTable(vectors, torch.ones(NUM_ENTITIES, dtype=torch.bool), {"model": "none"})
    ours, numpys, arrows = (folder / f"features.{end}" for end in ("ours", "npy", "parquet"))
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.numpy().ravel()), DIM)
    table = pa.table({"vector": flat})
    written = {
        "ours": lambda: save_features(features, FINGERPRINT, ours),
        "NumPy": lambda: np.save(numpys, vectors.numpy()),
        "Arrow": lambda: pq.write_table(table, arrows, compression="zstd"),
    }
    read = {
        "ours": lambda: load_features(ours, FINGERPRINT),
        "NumPy": lambda: np.load(numpys),
        "Arrow": lambda: pq.read_table(arrows),
    }
    size = vectors.numpy().nbytes
    note = f"{NUM_ENTITIES:,} vectors of {DIM} float32"
    return [
        *_compare_files("features written", written, size, threads, note),
        *_compare_files("features read", read, size, threads, note),
    ]


def _measure_shards(folder: Path, threads: int) -> list[Row]:
    """A full shard of pictures against NumPy's file of the same bytes, one after the other."""
    distinct = [reencode(source) for source in make_sources(NUM_SOURCES)]
    # A number behind each keeps Parquet from storing the repeated ones once.
    pictures = [
        distinct[number % NUM_SOURCES] + number.to_bytes(4, "big")
        for number in range(PICTURES_PER_SHARD)
    ]
    joined = np.frombuffer(b"".join(pictures), np.uint8)
    numpys, arrows = folder / "shard.npy", folder / "shard.parquet"
    digests = [sha256(picture).hexdigest() for picture in pictures]
    table = pa.table({"image": pa.array(pictures, pa.binary()), "sha256": digests})
    shard = write_shard(pictures, folder)
    written = {
        "ours": lambda: write_shard(pictures, folder),
        "NumPy": lambda: np.save(numpys, joined),
        "Arrow": lambda: pq.write_table(table, arrows, compression="zstd"),
    }
    read = {
        "ours": lambda: read_shard(shard, PICTURES_PER_SHARD),
        "NumPy": lambda: np.load(numpys),
        "Arrow": lambda: pq.read_table(arrows),
    }
    note = f"{PICTURES_PER_SHARD:,} pictures, {joined.nbytes / 2**20:.0f} MiB, read whole"
    return [
        *_compare_files("shard written", written, joined.nbytes, threads, note),
        *_compare_files("shard read", read, joined.nbytes, threads, note),
    ]


def _compare_files(name: str, works: Works, size: int, threads: int, note: str) -> list[Row]:
    """Compares our rate with NumPy's and Arrow's on data of `size` bytes."""
    seconds = time_side_by_side(works, ROUNDS, threads)
    ratios = [
        _ratio(f"{name}, rate against {other}", seconds, other, "ours", note)
        for other in ("NumPy", "Arrow")
    ]
    rate = size / seconds["ours"] / 1e6
    return [*ratios, Row(PART, name, rate, "MB/s", "higher", None, False, note)]


def _ratio(name: str, seconds: Mapping[str, float], other: str, ours: str, note: str) -> Row:
    """Returns the time of the other case over that of ours."""
    return Row(PART, name, seconds[other] / seconds[ours], "x", "higher", None, True, note)


def _decode(content: bytes) -> Image.Image:
    """Decodes a whole picture and nothing else."""
    with Image.open(io.BytesIO(content)) as image:
        return image.convert("RGB")
