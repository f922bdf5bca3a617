"""Any bytes become a picture or a status, never an exception."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_inputs import encode, reencode
from PIL import Image

from imf_core.raster.reencode import NO_PICTURE, ReencodedImage, quiet_pillow

_NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 9, 4), dtype=np.uint8))
KINDS = ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "ICO", "AVIF", "JPEG2000", "PPM", "QOI"]
SAMPLES = {kind: encode(_NOISE.convert("RGB"), kind) for kind in KINDS if kind != "QOI"}
SAMPLES["QOI"] = b"qoif\0\0\0\x02\0\0\0\x02\x03\0\xfe\xff\0\0\xc2" + bytes(7) + b"\1"
SAMPLES["PNG with alpha"] = encode(_NOISE)
SAMPLES["GIF of a palette"] = encode(_NOISE.convert("P"), "GIF", transparency=3)
SAMPLES["TIFF of floats"] = encode(_NOISE.convert("F"), "TIFF")
SAMPLES["TIFF, compressed"] = encode(_NOISE.convert("RGB"), "TIFF", compression="tiff_lzw")
SAMPLES["JPEG, progressive"] = encode(_NOISE.convert("CMYK"), "JPEG", progressive=True)
UNREAD = [b"%!PS-Adobe-3.0 EPSF", b"\xd7\xcd\xc6\x9a\0\0", b"8BPS\0\1", b"<svg", b"%PDF-"]

few = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with quiet_pillow():
        yield


def check(content: bytes) -> None:
    """Checks for a picture that can be opened, or a status with a printable reason."""
    result = reencode(content, max_pixels=200_000)
    if isinstance(result, ReencodedImage):
        with Image.open(io.BytesIO(result.content)) as image:
            assert image.convert("RGB").size
    else:
        assert result.fault in NO_PICTURE | {"too_many_pixels"}
        assert result.detail
        assert " at 0x" not in result.detail


@few
@given(st.binary(max_size=300))
def test_random_bytes_are_a_status(content: bytes) -> None:
    check(content)


@few
@given(st.sampled_from([*SAMPLES.values(), *UNREAD]), st.binary(max_size=200), st.integers(0, 40))
def test_random_bytes_behind_a_true_start_are_a_status(
    sample: bytes, rest: bytes, kept: int
) -> None:
    check(sample[:kept] + rest)


@few
@given(st.data())
def test_pictures_with_changed_bytes_are_a_picture_or_a_status(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(list(SAMPLES.values()))))
    places = st.integers(0, min(len(content), 120) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    check(bytes(content))


@few
@given(st.sampled_from(list(SAMPLES.values())), st.floats(0, 1))
def test_pictures_cut_anywhere_are_a_picture_or_a_status(sample: bytes, share: float) -> None:
    check(sample[: int(share * len(sample))])


@pytest.mark.parametrize("name", SAMPLES)
def test_the_samples_themselves_are_pictures(name: str) -> None:
    assert isinstance(reencode(SAMPLES[name]), ReencodedImage)
