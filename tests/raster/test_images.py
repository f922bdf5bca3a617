import re
import struct
import warnings

import numpy as np
import pytest
from image_inputs import BLUE, RED, encode, good, reencode, rejected
from PIL import Image

import imf_core.raster.reencode as reencode_module
from imf_core.raster.reencode import (
    ReencodedImage,
    open_rgb,
    quiet_pillow,
)


def photo(width: int = 300, height: int = 200) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height))


def fault(content: bytes, **limits: int) -> str:
    result = rejected(content, **limits)
    assert " at 0x" not in result.detail
    assert not re.search(r"[A-Z]\w+(Error|Exception)\b", result.detail)
    return result.fault


def near(pixel: object, colour: tuple[int, int, int], tolerance: int = 6) -> bool:
    return bool(np.abs(np.array(pixel) - np.array(colour)).max() <= tolerance)


def test_an_empty_file_is_empty() -> None:
    assert fault(b"") == "empty"


def test_a_text_named_png_is_not_an_image() -> None:
    assert fault(b"<html>Not found</html>") == "not_an_image"


def test_random_bytes_after_a_good_signature_are_a_fault_and_no_traceback() -> None:
    for head in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM", b"II*\0", b"RIFF"):
        assert fault(head + bytes(range(256)) * 4) in {"not_an_image", "truncated"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_half_a_file_is_truncated_or_no_image(kind: str) -> None:
    content = encode(photo(), kind)
    assert fault(content[: len(content) // 2]) in {"truncated", "not_an_image"}


def test_half_a_jpeg_is_truncated() -> None:
    content = encode(photo(), "JPEG")
    assert fault(content[: len(content) // 2]) == "truncated"
    found = rejected(content[: len(content) // 2])
    assert re.fullmatch(r"it is damaged or cut off \(.* truncated .*\); save or .*", found.detail)


@pytest.mark.parametrize(
    "error", [KeyError(259), IndexError("x"), struct.error("unpack"), OSError()]
)
def test_an_error_of_a_decoder_without_words_for_people_is_put_into_words(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(reencode_module, "_reencode", fail)
    found = rejected(encode(photo()))
    assert (found.fault, found.detail) == (
        "truncated",
        "its parts contradict one another; save it again with an image program",
    )


def test_a_file_over_the_byte_limit_is_rejected() -> None:
    assert fault(encode(photo()), max_bytes=1000) == "too_many_bytes"


def test_a_picture_over_the_pixel_limit_is_rejected_undecoded() -> None:
    assert fault(encode(Image.new("1", (1000, 1001)))) == "too_many_pixels"


def test_a_picture_20000_pixels_square_is_rejected() -> None:
    content = encode(Image.new("1", (20_000, 20_000)))
    assert fault(content, max_pixels=60_000_000) == "too_many_pixels"


def test_a_picture_20000_pixels_wide_within_the_limit_is_shrunk() -> None:
    assert good(encode(Image.new("RGB", (20_000, 40), RED))).size == (64, 1)


def test_the_longest_side_is_shrunk_and_the_aspect_kept() -> None:
    assert good(encode(photo(300, 150), "JPEG")).size == (64, 32)


def test_a_small_picture_keeps_its_size() -> None:
    assert good(encode(Image.new("RGB", (5, 3), RED))).size == (5, 3)


def test_few_colours_stay_lossless() -> None:
    assert good(encode(Image.new("RGB", (40, 30), RED))).format == "PNG"


def test_many_colours_become_jpeg() -> None:
    assert good(encode(photo(), "PNG")).format == "JPEG"


def test_a_grey_jpeg_stays_jpeg() -> None:
    assert good(encode(photo().convert("L"), "JPEG")).format == "JPEG"


def test_transparency_is_laid_on_white_and_stays_lossless() -> None:
    image = Image.new("RGBA", (20, 10), (255, 0, 0, 0))
    image.paste((*BLUE, 255), (10, 0, 20, 10))
    result = good(encode(image))
    assert result.format == "PNG"
    assert (result.getpixel((2, 5)), result.getpixel((17, 5))) == ((255, 255, 255), BLUE)


def test_a_palette_with_transparency_is_laid_on_white() -> None:
    image = Image.new("P", (20, 10), 0)
    image.putpalette([*RED, *BLUE])
    image.paste(1, (10, 0, 20, 10))
    result = good(encode(image, transparency=0))
    assert (result.getpixel((2, 5)), result.getpixel((17, 5))) == ((255, 255, 255), BLUE)


def test_grey_with_alpha_is_laid_on_white() -> None:
    image = Image.new("LA", (8, 8), (0, 0))
    image.paste((90, 255), (4, 4, 8, 8))
    result = good(encode(image))
    assert (result.getpixel((2, 2)), result.getpixel((6, 6))) == ((255,) * 3, (90,) * 3)


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE)]
    content = encode(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=10)
    assert good(content).getpixel((8, 8)) == RED


def test_cmyk_is_converted() -> None:
    content = encode(Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "JPEG")
    assert near(good(content).getpixel((16, 16)), RED)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_clipped(kind: str) -> None:
    values = np.full((16, 16), 0x8000, dtype=np.uint16)
    assert near(good(encode(Image.fromarray(values), kind)).getpixel((8, 8)), (128,) * 3, 1)


def test_float_grey_is_scaled_to_its_range() -> None:
    values = np.linspace(-1.0, 3.0, 256, dtype=np.float32).reshape(16, 16)
    values[0, 1] = np.nan
    result = good(encode(Image.fromarray(values), "TIFF"))
    assert near(result.getpixel((15, 15)), (255,) * 3)
    assert near(result.getpixel((0, 0)), (0,) * 3)


def test_exif_orientation_is_applied() -> None:
    image = Image.new("RGB", (40, 20), RED)
    image.paste(BLUE, (20, 0, 40, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    result = good(encode(image, "JPEG", exif=exif, quality=95))
    assert result.size == (20, 40)
    assert near(result.getpixel((10, 5)), RED, 12)
    assert near(result.getpixel((10, 35)), BLUE, 12)


def test_nothing_of_the_source_metadata_is_kept() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a secret description"
    result = reencode(encode(photo(), "JPEG", exif=exif, comment=b"a secret comment"))
    assert isinstance(result, ReencodedImage)
    assert b"secret" not in result.content


def test_the_same_picture_gives_the_same_bytes() -> None:
    content = encode(photo(), "JPEG")
    assert reencode(content) == reencode(content)


def test_the_result_is_readable_by_open_rgb() -> None:
    result = reencode(encode(photo(), "WEBP"))
    assert isinstance(result, ReencodedImage)
    assert open_rgb(result.content).size == (64, 43)


def test_quiet_pillow_lets_other_warnings_through() -> None:
    with quiet_pillow(), pytest.warns(UserWarning, match="mine"):
        warnings.warn("mine", UserWarning, stacklevel=1)
