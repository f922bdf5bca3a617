"""Picture formats: which ones are read, and the name of a format that is not.

In: the bytes of a file. Out: a Pillow image with its header read, or the reason why there is none.
Formats of programs and drawings (EPS, WMF, SVG, PDF) are never handed to a decoder: some of them
are code, and Pillow passes them to other programs.
"""

import io
import re
import struct

from PIL import Image

RASTER_FORMATS = (
    "JPEG",
    "PNG",
    "GIF",
    "WEBP",
    "AVIF",
    "TIFF",
    "BMP",
    "ICO",
    "JPEG2000",
    "PPM",
    "QOI",
)
"""The formats that are read, by Pillow's names. JPEG includes MPO, PNG includes APNG."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_ESSENTIAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf"})
_START_BYTES = 1024


class UnreadFormatError(Exception):
    """A picture, but of a format that is not read.

    Args:
        name: Of the format.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not read; convert it to PNG")


class NoPictureError(Exception):
    """No picture at all, or one with a header that cannot be read."""


# What people save as pictures, or get in their place, by its start.
_UNREAD = (
    (rb".{4}ftyp(hei[cfmsx]|hev[cx]|m[is]f1.{4,32}hei[cfmsx])", "HEIC"),
    (rb".{40} EMF", "EMF"),
    (rb"[\x01\x02]\0\x09\0\0[\x01\x03]", "WMF"),
    (rb"%PDF-", "PDF"),
    (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (rb"AT&TFORM", "DjVu"),
)
_OTHER: tuple[tuple[bytes, type[Exception], str], ...] = (
    (rb".{4}ftyp|\x1a\x45\xdf\xa3|RIFF.{4}AVI ", NoPictureError, "a video"),
    (rb"(<\?xml[^>]*>\s*)?<(!doctype\s+html|html|head|body)", NoPictureError, "a web page (HTML)"),
    (rb"<svg|<.*<svg", UnreadFormatError, "SVG"),
    (rb"<", NoPictureError, "text (XML)"),
    (rb"[{\[]", NoPictureError, "text (JSON)"),
    (rb"version https://git-lfs", NoPictureError, "a pointer of Git LFS; run `git lfs pull`"),
    (rb"PK\x03\x04|\x1f\x8b|Rar!|7z\xbc\xaf", NoPictureError, "an archive"),
)


def open_picture(content: bytes) -> Image.Image:
    """Opens a picture and reads its header.

    Args:
        content: A file's bytes.

    Returns:
        An image with nothing decoded yet. In a PNG the transparent colour is in the levels of the
        decoded picture.

    Raises:
        UnreadFormatError: If it is of a format that is not read.
        NoPictureError: If it is no picture, or the header is damaged.
        Image.DecompressionBombError: If it has far too many pixels.
    """
    try:
        image = Image.open(io.BytesIO(content), formats=RASTER_FORMATS)
    except Image.DecompressionBombError:
        raise
    except Exception as error:  # a decoder may raise anything on bytes that are no picture
        raise _explain(content) from error
    _scale_transparent_colour(image, content)
    return image


def without_notes(content: bytes) -> bytes | None:
    """Drops the chunks of a PNG that do not change its pixels: texts, profiles, animation.

    Pillow refuses a PNG for a text of more than a megabyte or a damaged note.

    Returns:
        The same picture with nothing but pixels, transparency and EXIF; None where it is no PNG or
        has nothing to drop.
    """
    if not content.startswith(_PNG_SIGNATURE):
        return None
    parts = [_PNG_SIGNATURE]
    start = len(_PNG_SIGNATURE)
    while start + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, start)
        end = start + 12 + length
        kind = content[start + 4 : start + 8]
        if kind in _PNG_ESSENTIAL:
            parts.append(content[start:end])
        start = end
    kept = b"".join(parts)
    return kept if len(kept) < len(content) else None


def _explain(content: bytes) -> Exception:
    """Names what cannot be opened, as an `UnreadFormatError` or a `NoPictureError`."""
    start = content[:_START_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip()
    for pattern, name in _UNREAD:
        if re.match(pattern, start, re.DOTALL):
            return UnreadFormatError(name)
    accepting = _accepting_formats(content[:16])
    for name in accepting:
        if name in RASTER_FORMATS:
            return NoPictureError(
                f"it starts as {name}, but is damaged or of a rare kind; if other programs show "
                "it, convert it to PNG"
            )
    for pattern, error, name in _OTHER:
        if re.match(pattern, start, re.DOTALL | re.IGNORECASE):
            return error(name)
    return UnreadFormatError(accepting[0]) if accepting else NoPictureError("no known format")


def _accepting_formats(prefix: bytes) -> list[str]:
    """Names the formats of Pillow that a file starts as; nothing is decoded."""
    Image.init()
    accepting = []
    for name, (_, accept) in sorted(Image.OPEN.items()):
        try:
            if accept is not None and accept(prefix):
                accepting.append(name)
        except (IndexError, ValueError, TypeError, struct.error):
            continue  # too short for this one
    return accepting


def _scale_transparent_colour(image: Image.Image, content: bytes) -> None:
    """Scales the transparent colour of a PNG as Pillow scales its pixels, to 8 bits."""
    colour = image.info.get("transparency")
    if image.format != "PNG" or colour is None:
        return
    depth = content[24]  # of the header, which is always the first chunk
    if image.mode == "L" and depth < 8:
        image.info["transparency"] = colour * (255 // (2**depth - 1))
    elif image.mode == "RGB" and depth == 16:
        image.info["transparency"] = tuple(level >> 8 for level in colour)
