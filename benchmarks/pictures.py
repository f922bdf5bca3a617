"""Random pictures, as sources of the stage `images` and as its outputs."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from imf_core.features.shards import ShardWriter
from imf_core.media.images import ReencodedImage, reencode_image

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
