"""Pictures in the page: few and small."""

import base64
import io

from PIL import Image
from tiny_world import COUNTRIES, tiny_graph

from imf_core.report.compose import RunFiles
from imf_core.report.entities import THUMBNAIL_PIXELS, read_thumbnails


def test_the_first_picture_of_each_wanted_entity_is_read_and_no_other(run_files: RunFiles) -> None:
    wanted = [COUNTRIES[1], COUNTRIES[4], COUNTRIES[9]]
    found = read_thumbnails(run_files.images, tiny_graph().fingerprint, wanted)
    assert found.keys() == {COUNTRIES[1], COUNTRIES[9]}, "one has no picture"
    picture = Image.open(io.BytesIO(base64.b64decode(found[COUNTRIES[9]].split(",")[1])))
    assert max(picture.size) == THUMBNAIL_PIXELS
    assert picture.convert("RGB").getpixel((5, 5)) == (COUNTRIES[9], 90, 90)
