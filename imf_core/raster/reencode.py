"""Checks one image and re-encodes it small: RGB on white, upright, one still frame.

A source with transparency or at most 256 colours is drawn, so it stays lossless (PNG); any other,
and every JPEG, becomes JPEG. A transparent image that white would hide is laid on black. Threads
share a bound on the pixels that they decode at once, and return results in the order of inputs.
"""

import io
import re
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageCms

from imf_core.raster.raster_formats import (
    NoPictureError,
    UnreadFormatError,
    open_picture,
    without_notes,
)


class PixelBudget:
    """Pixels that may be in memory at once.

    Args:
        pixels: The bound; a larger picture is decoded alone.
    """

    def __init__(self, pixels: int) -> None:
        self._total = self._free = pixels
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Waits for free capacity and reserves pixels during the block."""
        share = min(pixels, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= share)
            self._free -= share
        try:
            yield
        finally:
            with self._changed:
                self._free += share
                self._changed.notify_all()


Fault = Literal[
    "empty",
    "too_many_bytes",
    "too_many_pixels",
    "not_an_image",
    "unread_format",
    "truncated",
    "blank",
]

NO_PICTURE = frozenset({"empty", "not_an_image", "unread_format", "truncated", "blank"})
"""Faults of the content, independent of the limits."""

ONE_COLOUR = "of one colour"
"""The detail of a good picture of one colour."""

BLOCK_BYTES = 1 << 26  # above the 32 MiB from which glibc always gives memory back
JPEG_QUALITY = 90
MAX_DRAWN_COLOURS = 256
ONE_COLOUR_LEVELS = 8  # JPEG's own noise
FLOATS_AT_ONCE = 1 << 20
VISIBLE_LEVELS = 32
VISIBLE_SHARE = 0.01

_IN_FLIGHT = PixelBudget(1 << 26)
"""Pixels of all threads: with 4 to 12 bytes each, at most about 800 MB."""

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
    """A good picture: `content` is PNG or JPEG, RGB; `detail` is a note, or ""."""

    content: bytes
    detail: str = ""


@dataclass(frozen=True)
class RejectedImage:
    """A skipped picture: `fault` for counting, `detail` for the user."""

    fault: Fault
    detail: str


def reencode_image(
    content: bytes, *, size_pixels: int, max_bytes: int, max_pixels: int
) -> ReencodedImage | RejectedImage:
    """Makes a small RGB picture.

    Args:
        content: A file's bytes, of any of `RASTER_FORMATS`.
        size_pixels: Longest side of the result; a smaller picture keeps its size.
        max_bytes: A longer file is rejected unread.
        max_pixels: A picture of more pixels is rejected undecoded.

    Returns:
        The picture, with the same bytes for the same input; or the reason why there is none. It
        never raises for any `content`.
    """
    if not content:
        return RejectedImage("empty", "0 bytes")
    if len(content) > max_bytes:
        return RejectedImage("too_many_bytes", f"{len(content)} bytes, at most {max_bytes}")
    result = _read(content, size_pixels, max_pixels)
    if isinstance(result, RejectedImage) and result.fault in {"not_an_image", "truncated"}:
        bare = without_notes(content)
        again = result if bare is None else _read(bare, size_pixels, max_pixels)
        if isinstance(again, ReencodedImage):
            return ReencodedImage(again.content, _joined("notes not read", again.detail))
    return result


def open_rgb(content: bytes) -> Image.Image:
    """Opens a picture from `reencode_image`."""
    with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
        return image.convert("RGB")


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silences Pillow's warnings about malformed files, and makes it free the memory of large ones.

    The manifest has a status for each file. Memory in blocks of Pillow's usual 16 MiB stays with
    each thread that has decoded (glibc keeps it), so that the peak grows with the threads.

    Both settings belong to the whole process: enter once, around all threads that decode.
    """
    allocator = Image.core  # type: ignore[attr-defined]
    block_size = allocator.get_block_size()
    allocator.set_block_size(BLOCK_BYTES)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    finally:
        allocator.set_block_size(block_size)


def _read(content: bytes, size_pixels: int, max_pixels: int) -> ReencodedImage | RejectedImage:
    try:
        image = open_picture(content)
        width, height = image.size
        if width * height > max_pixels:
            reason = f"{width} x {height} pixels, at most {max_pixels} in all"
            return RejectedImage("too_many_pixels", reason)
        image.draft(image.mode, (2 * size_pixels, 2 * size_pixels))  # JPEG only: decodes small
        if not image.info.get("progressive"):  # such a JPEG is decoded whole all the same
            width, height = image.size
        with _IN_FLIGHT.hold(width * height), closing(image):  # which drops its pixels
            return _reencode(image, size_pixels)
    except Image.DecompressionBombError:
        return RejectedImage("too_many_pixels", f"far more than {max_pixels} pixels in all")
    except NoPictureError as error:
        return RejectedImage("not_an_image", str(error))
    except UnreadFormatError as error:
        return RejectedImage("unread_format", str(error))
    except Exception as error:  # a decoder may raise anything on damaged bytes
        return RejectedImage("truncated", _explain(error))


def _reencode(image: Image.Image, size_pixels: int) -> ReencodedImage | RejectedImage:
    """Decodes, shrinks, turns upright, lays on a ground and encodes."""
    is_jpeg = image.format in {"JPEG", "MPO"}
    image.load()
    orientation, detail = _orientation(image)
    image, has_alpha = _to_rgb_or_rgba(image)
    if has_alpha and not image.getchannel("A").getbbox():
        return RejectedImage("blank", "every pixel is transparent")
    is_drawn = not is_jpeg and (has_alpha or image.getcolors(MAX_DRAWN_COLOURS) is not None)
    image.thumbnail((size_pixels, size_pixels), Image.Resampling.LANCZOS, reducing_gap=3.0)
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    if has_alpha:
        image, ground = _lay_on_ground(image)
        detail = _joined(detail, "" if ground == "white" else f"laid on {ground}")
    # A fresh image carries nothing over from the source: no EXIF, comment, profile or gamma.
    clean = Image.frombytes("RGB", image.size, image.tobytes())
    if all(high - low <= ONE_COLOUR_LEVELS for low, high in _extrema(clean)):
        detail = _joined(detail, ONE_COLOUR)
    buffer = io.BytesIO()
    if is_drawn:
        clean.save(buffer, "PNG", optimize=True)
    else:
        clean.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return ReencodedImage(buffer.getvalue(), detail)


def _lay_on_ground(image: Image.Image) -> tuple[Image.Image, str]:
    """Lays an RGBA picture on white, or on black where white would hide all of it.

    White hides a picture if less than a hundredth of the visible pixels differ from white.

    Returns:
        The RGB picture and its ground's name.
    """
    on_white, on_black = (
        Image.alpha_composite(Image.new("RGBA", image.size, ground), image).convert("RGB")
        for ground in ("white", "black")
    )
    is_visible = np.asarray(image.getchannel("A")) > 0
    white_contrast = 255 - np.asarray(on_white).min(axis=2)[is_visible].astype(np.int64)
    black_contrast = np.asarray(on_black).max(axis=2)[is_visible].astype(np.int64)
    is_shown = (white_contrast >= VISIBLE_LEVELS).sum() >= VISIBLE_SHARE * is_visible.sum()
    if is_shown or white_contrast.sum() >= black_contrast.sum():
        return on_white, "white"
    return on_black, "black"


def _orientation(image: Image.Image) -> tuple[int, str]:
    """Reads the orientation of the camera; damaged EXIF is reported and ignored."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1)), ""
    except Exception as error:  # parsing damaged EXIF may raise anything
        return 1, f"orientation not read: {_explain(error)}"


def _to_rgb_or_rgba(image: Image.Image) -> tuple[Image.Image, bool]:
    """Converts any mode (palette, grey, CMYK, LAB, 16-bit, float); returns whether it is RGBA."""
    if image.mode == "F" or image.mode.startswith("I"):
        image = _to_eight_bits(image)
    elif image.mode == "LAB":
        lab, rgb = (ImageCms.createProfile(name) for name in ("LAB", "sRGB"))
        image = ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB") or image
    has_alpha = image.has_transparency_data
    mode = "RGBA" if has_alpha else "RGB"
    return image if image.mode == mode else image.convert(mode), has_alpha


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scales 16-bit, 32-bit and float grey values to 0..255; Pillow itself would clip them.

    Returns:
        Grey, with an alpha channel where the source names a transparent value.
    """
    values = np.asarray(image)
    if values.dtype.kind == "f":
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I") and low >= 0 and high <= 65535:
        low, high = 0.0, (65535.0 if image.mode.startswith("I;16") or high > 255 else 255.0)
    grey = np.zeros(values.shape, np.uint8)
    if high > low:
        rows = 1 + FLOATS_AT_ONCE // values.shape[1]
        for start in range(0, len(values), rows):
            floats = values[start : start + rows].astype(np.float32)
            grey[start : start + rows] = np.rint((floats - low) * (255.0 / (high - low)))
    scaled = Image.fromarray(grey)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        scaled.putalpha(Image.fromarray((values != transparent).astype(np.uint8) * 255))
    return scaled


def _extrema(image: Image.Image) -> list[tuple[int, int]]:
    """Returns the least and the greatest level of each colour of an RGB picture."""
    return [channel.getextrema() for channel in image.split()]  # type: ignore[misc]


def _joined(*details: str) -> str:
    return "; ".join(filter(None, details))


def _explain(error: Exception) -> str:
    """Says in plain words what a decoder has met.

    Words of the decoder are given where they are meant for people, without memory addresses, which
    would differ from run to run.
    """
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    words = " ".join(re.sub(r"<[^<>]* at 0x[0-9a-fA-F]+>", "the file", str(error)).split())
    if not words or not isinstance(error, OSError | SyntaxError | EOFError | RuntimeError):
        return "its parts contradict one another; save it again with an image program"
    return f"it is damaged or cut off ({words}); save or fetch it again"


InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")


def map_in_order(
    function: Callable[[InputT], OutputT], inputs: Iterable[InputT], workers: int
) -> Iterator[OutputT]:
    """Yields `function(x)` for each x in order, computed by threads.

    `ThreadPoolExecutor.map` would submit every input at once and keep all unread results; here at
    most `4 * workers` are under way.

    Args:
        function: Function that mostly runs outside the interpreter lock (decoding, network).
        inputs: Inputs, read lazily.
        workers: Number of threads.

    Raises:
        Exception: The first error of `function`, in input order.
    """
    pending: deque[Future[OutputT]] = deque()
    with ThreadPoolExecutor(workers) as executor:
        try:
            for item in inputs:
                pending.append(executor.submit(function, item))
                if len(pending) >= 4 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            executor.shutdown(wait=True, cancel_futures=True)
