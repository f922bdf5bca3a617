"""The endings of pictures agree with the readable formats."""

from PIL import Image

from imf_core.raster.raster_formats import RASTER_FORMATS
from imf_core.sources.layout import READ_ENDINGS, UNREAD_ENDINGS


def test_the_endings_that_are_read_are_those_of_the_formats_that_are_read() -> None:
    formats = Image.registered_extensions()
    read = {ending for ending in READ_ENDINGS if formats[ending] in {*RASTER_FORMATS, "MPO"}}
    assert read == READ_ENDINGS
    assert {formats[ending] for ending in READ_ENDINGS} >= set(RASTER_FORMATS)


def test_no_format_that_is_not_read_has_an_ending_of_one_that_is() -> None:
    assert not READ_ENDINGS & UNREAD_ENDINGS
