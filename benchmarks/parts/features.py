"""Features: extraction by pretrained encoders against the bare forward passes of their models.

The works are those of the stages: decode, preprocess or tokenise, forward, scale, keep the chunk.
The models are of CLIP B/32's and BERT-base's shape, with random weights.
"""

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.accuracy import read_params
from benchmarks.case import time_side_by_side
from benchmarks.encoders import (
    BERT_BASE,
    CLIP_B32,
    make_image_encoder,
    make_sources,
    make_text_encoder,
    make_texts,
    record_inputs,
    reencode,
    run_forward,
    write_shard,
)
from benchmarks.results import Row
from imf_core.base.config import SettledParams
from imf_core.features.image import MODALITY as IMAGES
from imf_core.features.image.pretrained_image import encode_images
from imf_core.features.shared.pretrained import ChunkStore
from imf_core.features.text import MODALITY as TEXTS
from imf_core.features.text.pretrained_text import encode_texts

PART = "features"
ROUNDS = 3
NUM_PICTURES, PICTURES_AT_ONCE = 64, 16
NUM_TEXTS, TEXTS_AT_ONCE = 96, 32

Extract = Callable[[ChunkStore], object]


def measure(threads: int) -> list[Row]:
    """Measures the image and the text encoder."""
    params = read_params({})
    with tempfile.TemporaryDirectory() as folder:
        return [
            *_measure_images(params, Path(folder), threads),
            *_measure_texts(params, Path(folder), threads),
        ]


def _measure_images(params: SettledParams, folder: Path, threads: int) -> list[Row]:
    encoder = make_image_encoder(CLIP_B32, params.features(IMAGES), folder / "clip")
    shard = write_shard([reencode(source) for source in make_sources(NUM_PICTURES)], folder)

    def extract(chunks: ChunkStore) -> object:
        return encode_images(encoder, [shard], NUM_PICTURES, PICTURES_AT_ONCE, chunks)

    return _compare("image", encoder.model, extract, NUM_PICTURES, folder / "image", threads)


def _measure_texts(params: SettledParams, folder: Path, threads: int) -> list[Row]:
    encoder = make_text_encoder(BERT_BASE, params.features(TEXTS), folder / "bert")
    texts = make_texts(NUM_TEXTS)

    def extract(chunks: ChunkStore) -> object:
        return encode_texts(encoder, texts, TEXTS_AT_ONCE, chunks)

    return _compare("text", encoder.model, extract, NUM_TEXTS, folder / "text", threads)


def _compare(
    noun: str, model: Any, extract: Extract, count: int, folder: Path, threads: int
) -> list[Row]:
    """Times an extraction that keeps its chunks in a new folder against its forward passes."""
    numbers = itertools.count()

    def extract_anew() -> object:
        return extract(ChunkStore(folder, {"run": str(next(numbers))}))

    inputs = record_inputs(model, extract_anew)
    works = {"extraction": extract_anew, "forward": lambda: run_forward(model, inputs)}
    seconds = time_side_by_side(works, ROUNDS, threads)
    share = 100 * seconds["forward"] / seconds["extraction"]
    return [
        Row(
            PART,
            f"{noun} extraction, share of the bare forward rate",
            share,
            "%",
            "higher",
            "at least 90 %",
            True,
            "decode or tokenise, forward and keep, against the model alone on the same batches",
        ),
        *(
            Row(PART, f"{noun} {name}", count / taken, f"{noun}s/s", "higher", None, False)
            for name, taken in seconds.items()
        ),
    ]
