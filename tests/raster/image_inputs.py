"""Picture files made byte by byte, and their results of `reencode_image`."""

import io
import struct
import zlib

from PIL import Image

from imf_core.raster.reencode import ReencodedImage, RejectedImage, reencode_image

WHITE, BLACK, RED, BLUE = (255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 0, 255)
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk of a PNG."""
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def png(size: tuple[int, int], depth: int, colour: int, rows: list[bytes], *notes: bytes) -> bytes:
    """A PNG of given bit depth and colour type, with further chunks before the pixels."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [chunk(b"IHDR", header), *notes, chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(parts)


def with_chunk(content: bytes, extra: bytes) -> bytes:
    """Inserts a chunk after the header of a PNG."""
    end = len(PNG_SIGNATURE) + 25
    return content[:end] + extra + content[end:]


def reencode(content: bytes, **limits: int) -> ReencodedImage | RejectedImage:
    settings = {"size_pixels": 64, "max_bytes": 10_000_000, "max_pixels": 1_000_000, **limits}
    return reencode_image(content, **settings)


def good(content: bytes, **limits: int) -> Image.Image:
    result = reencode(content, **limits)
    assert isinstance(result, ReencodedImage), result
    image = Image.open(io.BytesIO(result.content))
    image.load()
    assert image.mode == "RGB"
    return image


def rejected(content: bytes, **limits: int) -> RejectedImage:
    result = reencode(content, **limits)
    assert isinstance(result, RejectedImage), result
    return result
