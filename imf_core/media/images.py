"""Checks one picture and re-encodes it small: RGB on white, upright, one still frame.

In: the bytes of a file as somebody left it. Out: bytes that every later reader can rely on, or
the reason why there are none. A source that had transparency or at most 256 colours is drawn, so
it stays lossless (PNG); anything else, and all that came as JPEG, becomes JPEG.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import ExifTags, Image

Fault = Literal[
    "empty",
    "too_many_bytes",
    "too_many_pixels",
    "not_an_image",
    "truncated",
]

NO_PICTURE = frozenset({"empty", "not_an_image", "truncated"})
"""Faults of what the bytes are, whatever the limits."""

JPEG_QUALITY = 90
MAX_DRAWN_COLOURS = 256

_UPRIGHT = {  # EXIF orientation -> the operation that undoes it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class ReencodedImage:
    """A good picture: `content` is PNG or JPEG, RGB; `detail` says what was left undone, or ""."""

    content: bytes
    detail: str = ""


@dataclass(frozen=True)
class RejectedImage:
    """A picture that is skipped: `fault` for counting, `detail` for the person who looks."""

    fault: Fault
    detail: str


def reencode_image(
    content: bytes, *, size_pixels: int, max_bytes: int, max_pixels: int
) -> ReencodedImage | RejectedImage:
    """Makes a small RGB picture of whatever `content` holds.

    Args:
        content: A file's bytes, of any format that Pillow reads.
        size_pixels: Longest side of the result; a smaller picture keeps its size.
        max_bytes: A longer file is rejected unread.
        max_pixels: A picture of more pixels is rejected undecoded.

    Returns:
        The picture, the same bytes for the same input; or why there is none. Never raises for
        what `content` holds.
    """
    image = _open(content, max_bytes, max_pixels)
    if isinstance(image, RejectedImage):
        return image
    with image:
        try:
            return _reencode(image, size_pixels)
        except Exception as error:  # a decoder may raise anything on damaged bytes
            return RejectedImage("truncated", _without_addresses(error))


def open_rgb(content: bytes) -> Image.Image:
    """Opens a picture that `reencode_image` made."""
    with Image.open(io.BytesIO(content)) as image:
        return image.convert("RGB")


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silences Pillow's warnings about odd files: each file's fate is in the manifest.

    Warning filters belong to the whole process: enter once, around all threads that decode.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _open(content: bytes, max_bytes: int, max_pixels: int) -> Image.Image | RejectedImage:
    """Reads the header only and checks the sizes."""
    if not content:
        return RejectedImage("empty", "0 bytes")
    if len(content) > max_bytes:
        return RejectedImage("too_many_bytes", f"{len(content)} bytes, at most {max_bytes}")
    try:
        image = Image.open(io.BytesIO(content))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return RejectedImage("too_many_pixels", f"far more than {max_pixels} pixels in all")
    except Exception:  # a decoder may raise anything on bytes that are no picture
        return RejectedImage("not_an_image", "no picture format that can be read")
    width, height = image.size
    if width * height > max_pixels:
        image.close()
        reason = f"{width} x {height} pixels, at most {max_pixels} in all"
        return RejectedImage("too_many_pixels", reason)
    return image


def _reencode(image: Image.Image, size_pixels: int) -> ReencodedImage:
    """Decodes, shrinks, turns upright, puts on white and encodes."""
    is_jpeg = image.format in {"JPEG", "MPO"}
    image.draft(image.mode, (2 * size_pixels, 2 * size_pixels))  # JPEG only: decodes small
    image.load()
    orientation, detail = _orientation(image)
    image, has_alpha = _to_rgb_or_rgba(image)
    is_drawn = not is_jpeg and (has_alpha or image.getcolors(MAX_DRAWN_COLOURS) is not None)
    image.thumbnail((size_pixels, size_pixels), Image.Resampling.LANCZOS, reducing_gap=3.0)
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    if has_alpha:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    # A fresh image carries nothing over from the source: no EXIF, comment, profile or gamma.
    clean = Image.frombytes("RGB", image.size, image.tobytes())
    buffer = io.BytesIO()
    if is_drawn:
        clean.save(buffer, "PNG", optimize=True)
    else:
        clean.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return ReencodedImage(buffer.getvalue(), detail)


def _orientation(image: Image.Image) -> tuple[int, str]:
    """Reads how the camera was held; damaged EXIF is reported, the picture is kept as it is."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1)), ""
    except Exception as error:  # parsing damaged EXIF may raise anything
        return 1, f"orientation not read: {_without_addresses(error)}"


def _to_rgb_or_rgba(image: Image.Image) -> tuple[Image.Image, bool]:
    """Converts any mode (palette, grey, CMYK, 16-bit, float) and says whether it is RGBA."""
    if image.mode == "F" or image.mode.startswith("I"):
        image = _to_eight_bits(image)
    if image.has_transparency_data:
        return image.convert("RGBA"), True
    return image.convert("RGB"), False


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scales 16-bit, 32-bit and float grey values to 0..255; Pillow itself would clip them."""
    values = np.asarray(image).astype(np.float32)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I") and low >= 0 and high <= 65535:
        low, high = 0.0, (65535.0 if image.mode.startswith("I;16") or high > 255 else 255.0)
    scaled = (values - low) * (255.0 / (high - low)) if high > low else np.zeros_like(values)
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def _without_addresses(error: Exception) -> str:
    """Words an error without memory addresses, which would differ from run to run."""
    return re.sub(r"<[^<>]* at 0x[0-9a-fA-F]+>", "the file", f"{type(error).__name__}: {error}")
