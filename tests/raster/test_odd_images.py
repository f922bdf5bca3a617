"""Pictures of rare modes, with large metadata, or nearly invisible, and files without a picture."""

import struct
import threading
import zlib

import numpy as np
import pytest
from image_inputs import (
    BLACK,
    BLUE,
    RED,
    WHITE,
    chunk,
    encode,
    good,
    png,
    reencode,
    rejected,
    with_chunk,
)
from PIL import Image, ImageCms, PngImagePlugin

from imf_core.raster.reencode import ONE_COLOUR, PixelBudget, ReencodedImage, quiet_pillow

RED_PNG = encode(Image.new("RGB", (20, 10), RED))
BIG = b"a" * (PngImagePlugin.MAX_TEXT_CHUNK + 1)


def detail(content: bytes) -> str:
    result = reencode(content)
    assert isinstance(result, ReencodedImage), result
    return result.detail


def logo(mode: str, colour: object, ground: object) -> Image.Image:
    """A square of a colour on a transparent ground."""
    image = Image.new(mode, (32, 32), ground)
    image.paste(colour, (8, 8, 24, 24))
    return image


# Notes


@pytest.mark.parametrize(
    "note",
    [
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(BIG)),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(BIG)),
        chunk(b"iCCP", b"profile\0\0" + zlib.compress(BIG)),
        chunk(b"tEXt", b"Comment\0" + BIG),
        chunk(b"tEXt", b"Comment\0fine")[:-1] + b"?",  # a wrong checksum
    ],
    ids=["zTXt", "XMP", "profile", "tEXt", "checksum"],
)
def test_a_png_with_an_odd_note_is_read(note: bytes) -> None:
    assert good(with_chunk(RED_PNG, note)).getpixel((5, 5)) == RED


def test_a_png_with_notes_beyond_all_memory_is_read() -> None:
    note = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(BIG[:-2]))
    assert good(with_chunk(RED_PNG, note * 70)).getpixel((5, 5)) == RED


def test_transparency_stays_where_a_note_is_dropped() -> None:
    content = encode(logo("RGBA", (*RED, 255), (0, 0, 0, 0)))
    note = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(BIG))
    assert good(with_chunk(content, note)).getpixel((0, 0)) == WHITE
    assert detail(with_chunk(content, note)) == "notes not read"


def test_a_cut_png_is_truncated_with_and_without_notes() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    content = encode(Image.fromarray(noise))
    for each in (content, with_chunk(content, chunk(b"tEXt", b"Comment\0fine"))):
        assert rejected(each[: len(each) // 2]).fault == "truncated"


# Transparent colours


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("is_top", [False, True])
def test_the_transparent_grey_of_a_png_is_laid_on_white(depth: int, is_top: bool) -> None:
    top = (1 << depth) - 1
    see_through, seen = (top, 0) if is_top else (0, top)
    wide = 16 // depth  # levels in the two bytes of one row
    row = struct.pack(">H", sum(see_through << (depth * place) for place in range(wide)))
    other = struct.pack(">H", sum(seen << (depth * place) for place in range(wide)))
    notes = [chunk(b"tRNS", struct.pack(">H", see_through))]
    image = good(png((wide, 2), depth, 0, [row, other], *notes))
    expected = BLACK if is_top else WHITE
    assert image.getpixel((0, 1)) == expected
    assert image.getpixel((0, 0)) == (BLACK if not is_top else WHITE)


def test_sixteen_bit_grey_keeps_its_levels_beside_a_transparent_one() -> None:
    row = struct.pack(">HHHH", 0, 0x8000, 0x8001, 0xFFFF)
    content = png((4, 1), 16, 0, [row], chunk(b"tRNS", struct.pack(">H", 0x8001)))
    image = good(content)
    assert [image.getpixel((x, 0))[0] for x in range(4)] == [0, 128, 255, 255]


def test_the_transparent_colour_of_a_png_of_sixteen_bits_is_laid_on_white() -> None:
    row = struct.pack(">HHHHHH", 0x0102, 0x0304, 0x0506, 0xFFFF, 0, 0)
    content = png((2, 1), 16, 2, [row], chunk(b"tRNS", struct.pack(">HHH", 0x102, 0x304, 0x506)))
    image = good(content)
    assert (image.getpixel((0, 0)), image.getpixel((1, 0))) == (WHITE, RED)


def test_the_transparent_colour_of_a_png_of_eight_bits_is_laid_on_white() -> None:
    content = encode(logo("RGB", RED, BLUE), transparency=BLUE)
    assert (good(content).getpixel((0, 0)), good(content).getpixel((16, 16))) == (WHITE, RED)


def test_half_transparent_palette_colours_are_mixed_with_white() -> None:
    palette = chunk(b"PLTE", bytes([*RED, *BLUE])), chunk(b"tRNS", bytes([0, 128]))
    image = good(png((8, 1), 1, 3, [bytes([0b00001111])], *palette))
    assert (image.getpixel((0, 0)), image.getpixel((7, 0))) == (WHITE, (127, 127, 255))


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "WEBP"])
def test_an_alpha_channel_is_laid_on_white_in_every_format(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encode(logo("RGBA", (*RED, 255), (0, 0, 0, 0)), kind, **options)
    assert (good(content).getpixel((0, 0)), good(content).getpixel((16, 16))) == (WHITE, RED)


# What white hides


@pytest.mark.parametrize(
    ("mode", "colour", "ground"),
    [
        ("RGBA", (255, 255, 255, 255), (255, 255, 255, 0)),
        ("RGBA", (250, 251, 249, 255), (0, 0, 0, 0)),
        ("RGBA", (255, 255, 255, 120), (0, 0, 0, 0)),
        ("LA", (255, 255), (0, 0)),
    ],
)
def test_a_white_logo_on_nothing_is_laid_on_black(
    mode: str, colour: object, ground: object
) -> None:
    content = encode(logo(mode, colour, ground))
    image = good(content)
    assert image.getpixel((0, 0)) == BLACK
    assert min(image.getpixel((16, 16))) >= 100
    assert detail(content) == "laid on black"


def test_a_white_logo_with_a_transparent_grey_is_laid_on_black() -> None:
    content = encode(logo("L", 255, 7), transparency=7)
    assert (good(content).getpixel((0, 0)), good(content).getpixel((16, 16))) == (BLACK, WHITE)


def test_two_white_logos_of_different_form_stay_different() -> None:
    square = logo("RGBA", (255, 255, 255, 255), (255, 255, 255, 0))
    bar = Image.new("RGBA", (32, 32), (255, 255, 255, 0))
    bar.paste((255, 255, 255, 255), (0, 14, 32, 18))
    assert reencode(encode(square)) != reencode(encode(bar))


@pytest.mark.parametrize(
    "colour", [(0, 0, 0, 255), (255, 255, 0, 255), (128, 128, 128, 255), (0, 0, 0, 9)]
)
def test_a_logo_that_white_shows_is_laid_on_white(colour: object) -> None:
    content = encode(logo("RGBA", colour, (0, 0, 0, 0)))
    assert good(content).getpixel((0, 0)) == WHITE
    assert detail(content) == ""


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_picture_of_transparent_pixels_alone_is_blank(mode: str) -> None:
    assert rejected(encode(Image.new(mode, (8, 8), 0))).fault == "blank"


@pytest.mark.parametrize("size", [(1, 1), (30, 20)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
def test_a_picture_of_one_colour_says_so(kind: str, size: tuple[int, int]) -> None:
    assert detail(encode(Image.new("RGB", size, (200, 30, 30)), kind)) == ONE_COLOUR


# Formats

SVG = b'<?xml version="1.0"?>\n<!-- made by hand -->\n<svg xmlns="http://www.w3.org/2000/svg"/>'


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "EPS"),
        (b"\xc5\xd0\xd3\xc6" + bytes(28) + b"%!PS-Adobe-3.0 EPSF-3.0", "EPS"),
        (b"\xd7\xcd\xc6\x9a\0\0" + bytes(60), "WMF"),
        (b"\x01\0\x09\0\0\x03" + bytes(60), "WMF"),
        (b"\x01\0\0\0" + bytes(36) + b" EMF" + bytes(60), "EMF"),
        (b"8BPS\0\1" + bytes(60), "PSD"),
        (b"%PDF-1.7\n", "PDF"),
        (SVG, "SVG"),
        (b"\xef\xbb\xbf  <svg/>", "SVG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\xff\x0a" + bytes(40), "JPEG XL"),
    ],
)
def test_a_format_that_is_not_read_is_named_with_a_remedy(content: bytes, name: str) -> None:
    found = rejected(content)
    assert (found.fault, found.detail) == (
        "unread_format",
        f"{name} is not read; convert it to PNG",
    )


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<!DOCTYPE html><html><svg></svg><h1>404</h1></html>", "a web page"),
        (b"\n<html lang=en>", "a web page"),
        (b'{"error": "not found"}', "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"PK\x03\x04" + bytes(40), "archive"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "video"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "starts as PNG"),
        (b"nothing at all", "no known format"),
    ],
)
def test_a_file_that_is_no_picture_says_what_it_is(content: bytes, what: str) -> None:
    found = rejected(content)
    assert found.fault == "not_an_image"
    assert what in found.detail


def test_no_other_program_is_started_for_an_eps(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr("subprocess.check_call", lambda *args, **_: started.append(args))
    monkeypatch.setattr("shutil.which", lambda name, **_: f"/usr/bin/{name}")
    rejected(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    assert not started


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_every_kind_of_animation_gives_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert good(content).getpixel((8, 8)) == RED


@pytest.mark.parametrize("kind", ["ICO", "AVIF", "BMP", "PPM", "JPEG2000"])
def test_every_format_that_is_meant_is_read(kind: str) -> None:
    image = logo("RGB", RED, BLUE)
    pixel = np.array(good(encode(image, kind)).getpixel((16, 16)))
    assert np.abs(pixel - RED).max() <= 12


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_a_compressed_tiff_of_many_pages_gives_its_first_page(compression: str) -> None:
    pages = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE)]
    content = encode(
        pages[0], "TIFF", save_all=True, append_images=pages[1:], compression=compression
    )
    assert good(content).getpixel((8, 8)) == RED


def test_lab_colours_are_converted() -> None:
    to_lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(Image.new("RGB", (8, 8), RED), *to_lab, outputMode="LAB")
    assert np.abs(np.array(good(encode(lab, "TIFF")).getpixel((4, 4))) - RED).max() <= 6


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1)])
def test_a_picture_that_is_all_length_is_shrunk(size: tuple[int, int]) -> None:
    assert sorted(good(encode(Image.new("RGB", size, RED))).size) == [1, 64]


def test_a_tall_picture_of_sixteen_bits_is_scaled_whole() -> None:
    values = np.linspace(0, 65535, 20_000).astype(np.uint16)[:, None]
    image = good(encode(Image.fromarray(values)))
    assert image.getpixel((0, 0))[0] < 10
    assert image.getpixel((0, 63))[0] > 245


def test_an_icon_with_a_larger_picture_than_it_says_is_rejected() -> None:
    inner = encode(Image.new("1", (20_000, 20_000)))
    head = struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(inner), 22)
    assert rejected(head + inner).fault == "too_many_pixels"


# Memory


def test_pixels_in_flight_stay_within_the_budget() -> None:
    budget, lock = PixelBudget(100), threading.Lock()
    held, most, one_is_in = 0, 0, threading.Event()

    def work(pixels: int) -> None:
        nonlocal held, most
        with budget.hold(pixels):
            with lock:
                held += min(pixels, 100)
                most = max(most, held)
            one_is_in.wait(0.002)
            with lock:
                held -= min(pixels, 100)

    threads = [
        threading.Thread(target=work, args=(pixels,)) for pixels in [40, 40, 40, 90, 1000, 3] * 4
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert most <= 100
    assert held == 0


def test_a_failure_gives_its_pixels_back() -> None:
    budget = PixelBudget(10)
    with pytest.raises(ValueError, match="damaged"), budget.hold(10):
        raise ValueError("damaged")
    with budget.hold(10):
        pass


def test_pillow_is_left_as_it_was() -> None:
    before = Image.core.get_block_size()
    with quiet_pillow():
        assert Image.core.get_block_size() > before
    assert Image.core.get_block_size() == before
