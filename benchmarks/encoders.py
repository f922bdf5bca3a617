"""Made inputs of the feature stages: random encoders and images, invented texts."""

import io
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordPiece
from tokenizers.processors import TemplateProcessing
from transformers import (
    BertConfig,
    BertModel,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    PreTrainedTokenizerFast,
)

from imf_core.features.image import ImageFeaturesParams
from imf_core.features.image.pretrained_image import ImageEncoder, load_image_encoder
from imf_core.features.shared.model_files import ModelSource
from imf_core.features.text import TextFeaturesParams
from imf_core.features.text.pretrained_text import TextEncoder, load_text_encoder
from imf_core.raster.reencode import ReencodedImage, reencode_image
from imf_core.raster.shards import ShardWriter

PIXELS = 224
CLIP_B32 = CLIPVisionConfig(
    hidden_size=768,
    intermediate_size=3072,
    num_hidden_layers=12,
    num_attention_heads=12,
    image_size=PIXELS,
    patch_size=32,
    projection_dim=512,
)
BERT_BASE = BertConfig()


def make_image_encoder(
    config: CLIPVisionConfig, params: ImageFeaturesParams, folder: Path
) -> ImageEncoder:
    """Saves a CLIP image encoder with random weights in `folder` and loads it as the stage does.

    Its input has `PIXELS` for any shape of encoder.
    """
    torch.manual_seed(0)
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    CLIPImageProcessorPil(
        size={"shortest_edge": PIXELS}, crop_size={"height": PIXELS, "width": PIXELS}
    ).save_pretrained(folder)
    return load_image_encoder(ModelSource("image_features", str(folder), None, "none"), params)


def make_text_encoder(config: BertConfig, params: TextFeaturesParams, folder: Path) -> TextEncoder:
    """Saves a BERT with random weights in `folder` and loads it as the stage does."""
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    vocabulary = make_vocabulary(config.vocab_size)
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=config.max_position_embeddings,
    ).save_pretrained(folder)
    return load_text_encoder(ModelSource("text_features", str(folder), None, "none"), params)


def record_inputs(model: torch.nn.Module, work: Callable[[], object]) -> list[dict[str, Any]]:
    """Runs `work` and returns the keyword arguments of every call of `model`, on its device.

    Args:
        model: Called with keyword arguments only.
        work: Calls the model.
    """
    inputs: list[dict[str, Any]] = []

    def keep(_module: torch.nn.Module, _args: object, keywords: dict[str, Any]) -> None:
        inputs.append(keywords)

    handle = model.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        work()
    finally:
        handle.remove()
    return inputs


def run_forward(model: torch.nn.Module, inputs: list[dict[str, Any]]) -> None:
    """Calls a model once with each recorded input, and waits for the device."""
    with torch.inference_mode():
        for each in inputs:
            model(**each)
    if torch.cuda.is_available():
        torch.cuda.synchronize()


SOURCE_SIZES = ((1024, 768), (800, 1200), (640, 640), (1600, 900), (330, 220))
"""Width and height of the sources, in pixels."""

SIZE_PIXELS = 224
MAX_BYTES, MAX_PIXELS = 30_000_000, 60_000_000


def make_sources(count: int) -> list[bytes]:
    """Makes source files: four of five are photographs, one is a drawing.

    Returns:
        JPEG and PNG files, deterministic for a count.
    """
    return [_draw(number) if number % 5 == 4 else _photograph(number) for number in range(count)]


def reencode(content: bytes) -> bytes:
    """Re-encodes a source like the stage `images`."""
    made = reencode_image(
        content, size_pixels=SIZE_PIXELS, max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS
    )
    assert isinstance(made, ReencodedImage), made
    return made.content


def write_shard(pictures: list[bytes], folder: Path) -> Path:
    """Writes pictures, one per entity, as the only shard of `folder`."""
    writer = ShardWriter(folder, len(pictures), {})
    for entity_id, picture in enumerate(pictures):
        writer.append(entity_id, [picture])
    return folder / "shard-00000.parquet"


def _photograph(number: int) -> bytes:
    """Makes large soft shapes with a little noise, of about the size of a photograph."""
    generator = np.random.default_rng(number)
    size = SOURCE_SIZES[number % len(SOURCE_SIZES)]
    shapes = Image.fromarray(generator.integers(0, 256, (24, 24, 3), dtype=np.uint8))
    pixels = np.asarray(shapes.resize(size, Image.Resampling.BICUBIC), np.float32)
    noisy = pixels + generator.normal(0, 6, pixels.shape)
    return _encode(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)), "JPEG")


def _draw(number: int) -> bytes:
    """Makes stripes and a patch of a few colours, like a flag."""
    generator = np.random.default_rng(number)
    stripes = Image.fromarray(generator.integers(0, 256, (5, 1, 3), dtype=np.uint8))
    flag = stripes.resize((900, 600), Image.Resampling.NEAREST)
    flag.paste(tuple(generator.integers(0, 256, 3).tolist()), (0, 0, 300, 300))
    return _encode(flag, "PNG")


def _encode(picture: Image.Image, file_format: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, file_format)
    return buffer.getvalue()


SYLLABLES = [first + second for first, second in product("bdfgklmnprstvz", "aeiou")]
"""Syllables of the words; a tokenizer can split words into them."""

NUM_WORDS = 20_000
MEDIAN_WORDS = 14.0
SPREAD = 0.9
LONGEST = 120


def make_texts(count: int) -> list[str]:
    """Makes texts with the lengths of short descriptions.

    Half are shorter than `MEDIAN_WORDS`, one in a hundred is a paragraph; deterministic for a
    count.
    """
    generator = np.random.default_rng(0)
    words = list(_words(generator))
    lengths = generator.lognormal(np.log(MEDIAN_WORDS), SPREAD, count).astype(int)
    return [
        " ".join(words[index] for index in (NUM_WORDS * generator.random(length) ** 3).astype(int))
        for length in lengths.clip(1, LONGEST)
    ]


def make_vocabulary(size: int) -> dict[str, int]:
    """Makes a vocabulary of word pieces: common words as a whole, others by syllables.

    Args:
        size: Number of tokens; unused ones fill it up.
    """
    pieces = [*SYLLABLES, *(f"##{syllable}" for syllable in SYLLABLES)]
    commoner = list(_words(np.random.default_rng(0)))[: NUM_WORDS // 4]
    tokens = list(dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces, *commoner]))
    tokens += [f"[unused{number}]" for number in range(size - len(tokens))]
    return {token: position for position, token in enumerate(tokens)}


def _words(generator: np.random.Generator) -> Iterator[str]:
    """Yields words of one to four syllables, most common first."""
    for length in generator.integers(1, 5, NUM_WORDS):
        yield "".join(SYLLABLES[index] for index in generator.integers(0, len(SYLLABLES), length))
