"""The flags of the atlas: the specifications are complete and valid, the drawings match them."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from imf_core.base.errors import DataError
from tools.atlas.flag_layers import PALETTE
from tools.atlas.flag_specs import (
    DESIGNS,
    FlagSpec,
    flag_colours,
    flag_design,
    load_flag_specs,
)
from tools.atlas.flags import draw_flag

SPECS = load_flag_specs()
DRAWN = {code: spec for code, spec in SPECS.items() if spec is not None}


def _png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _area_by_colour(image: Image.Image) -> dict[str, float]:
    """Returns the share of pixels of each palette colour."""
    names = {rgb: name for name, rgb in PALETTE.items()}
    counted = image.getcolors(maxcolors=image.width * image.height)
    total = image.width * image.height
    return {names[rgb]: count / total for count, rgb in counted if rgb in names}


def _load(text: str, folder: Path) -> dict[str, FlagSpec | None]:
    path = folder / "flags.yaml"
    path.write_text(text, encoding="utf-8")
    return load_flag_specs(path)


def _load_layer(layer: str, folder: Path) -> FlagSpec:
    spec = _load(f'XXX: {{ratio: "1:1", colours: [red], layers: [{layer}]}}', folder)["XXX"]
    assert spec is not None
    return spec


def test_every_country_of_the_atlas_has_an_entry_in_order():
    assert len(SPECS) == 195
    assert list(SPECS) == sorted(SPECS)
    assert all(len(code) == 3 and code.isupper() for code in SPECS)


def test_exactly_twelve_countries_have_no_flag():
    assert sum(spec is None for spec in SPECS.values()) == 12


def test_no_two_flags_are_the_same_picture():
    pictures = {_png(draw_flag(spec, 64).resize((96, 64))) for spec in DRAWN.values()}
    assert len(pictures) == len(DRAWN)


@pytest.mark.parametrize("code", DRAWN)
def test_a_flag_has_the_size_and_the_colours_it_declares(code):
    spec = DRAWN[code]
    image = draw_flag(spec, 192)
    assert image.mode == "RGB"
    assert image.size == (round(192 * spec.aspect), 192)
    # Blended edge pixels have no palette colour, so the 3% rule can only be checked to half a
    # per cent.
    areas = _area_by_colour(image)
    assert all(areas.get(colour, 0) >= 0.025 for colour in flag_colours(spec))
    assert {name for name, area in areas.items() if area >= 0.035} <= set(flag_colours(spec))


@pytest.mark.parametrize("code", DRAWN)
def test_drawing_a_flag_twice_gives_the_same_bytes(code):
    assert _png(draw_flag(DRAWN[code], 48)) == _png(draw_flag(DRAWN[code], 48))


def test_the_specifications_load_without_pillow():
    code = "import sys, tools.atlas.flag_specs; sys.exit('PIL' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("code", "design"),
    [
        ("FRA", ("Vertical bands",)),
        ("DEU", ("Horizontal bands",)),
        ("JPN", ("With a disc",)),
        ("CHE", ("With a cross",)),
        ("GBR", ("Union Jack canton",)),
        ("AUS", ("Union Jack canton", "With stars")),
        ("USA", ("Horizontal bands", "With stars")),
        ("CZE", ("Hoist triangle", "Horizontal bands")),
        ("CAN", ("Vertical bands", "With an emblem")),
        ("PAK", ("With a crescent", "With stars")),
        ("QAT", ()),
    ],
)
def test_the_design_of_a_flag_is_what_it_shows_in_alphabetical_order(code, design):
    assert flag_design(DRAWN[code]) == design


def test_every_design_is_shown_by_some_flag_and_no_other_is():
    assert {name for spec in DRAWN.values() for name in flag_design(spec)} == set(DESIGNS)


def test_a_design_counts_once_however_many_layers_show_it(tmp_path):
    discs = _load_layer("{disc: red, size: 0.4}, {disc: blue, size: 0.2}", tmp_path)
    assert flag_design(discs) == ("With a disc",)


def test_a_design_inside_a_group_counts(tmp_path):
    inner = "{group: [{disc: red, size: 0.4}], box: [0, 0, 0.5, 0.5]}"
    nested = f"{{group: [{inner}], box: [0, 0, 0.5, 0.5]}}"
    assert flag_design(_load_layer(nested, tmp_path)) == ("With a disc",)


def test_a_plain_field_has_no_design(tmp_path):
    assert flag_design(_load_layer("{field: red}", tmp_path)) == ()


def test_the_flag_is_anti_aliased(tmp_path):
    disc = _load_layer("{disc: red, size: 0.4}", tmp_path)
    colours = draw_flag(disc, 64).getcolors()
    assert len(colours) > 2


def test_a_group_draws_inside_its_box_only(tmp_path):
    spec = _load_layer("{field: red}, {group: [{field: blue}], box: [0, 0, 0.5, 0.5]}", tmp_path)
    assert _area_by_colour(draw_flag(spec, 16)) == {"blue": 0.25, "red": 0.75}


def test_bands_follow_their_weights(tmp_path):
    spec = _load_layer("{horizontal: [red, white], weights: [3, 1]}", tmp_path)
    assert _area_by_colour(draw_flag(spec, 16)) == {"red": 0.75, "white": 0.25}


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("{blob: red}", r"flags\.yaml: XXX: layer 1: unknown layer 'blob', known layers: field"),
        ("{field: pink}", r"flags\.yaml: XXX: layer 1: field: colour: .*'pink', the palette is"),
        ("{field: red}, {disc: red}", r"flags\.yaml: XXX: layer 2: disc: size: Field required"),
        ("{disc: red, size: '1'}", r"layer 1: disc: size: .*valid number"),
        ("{disc: red, size: 1, colr: 2}", r"layer 1: disc: colr: Extra inputs"),
        ("{shape: red, outline: cat, size: 1}", r"shape: outline: .*'cat', outlines\.py has"),
        ("{crescent: red, size: 1, shift: 3}", r"crescent: .*does not cut the edge"),
        ("{vertical: [red], weights: [1, 2]}", r"vertical: .*1 bands need 1 weights, got 2"),
        ("{group: [{blob: red}], box: [0, 0, 1, 1]}", r"layer 1: group: layer 1: unknown layer"),
    ],
)
def test_a_bad_layer_is_rejected_with_its_place_and_cause(layer, message, tmp_path):
    with pytest.raises(DataError, match=message):
        _load_layer(layer, tmp_path)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{ratio: 2:3, colours: [], layers: []}", r'XXX: ratio must be a quoted "height:width"'),
        ('{ratio: "2:3", colours: [pink], layers: []}', r"XXX: colours: \['pink'\] not in"),
        ('{ratio: "2:3", colours: [], layers: red}', r"XXX: layers must be a list, got 'red'"),
        ('{ratio: "2:3", layers: []}', r"XXX: expected the keys ratio, colours and layers"),
    ],
)
def test_a_bad_specification_is_rejected_with_its_place_and_cause(spec, message, tmp_path):
    with pytest.raises(DataError, match=message):
        _load(f"XXX: {spec}", tmp_path)
