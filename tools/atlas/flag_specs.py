"""Load and validate the flag specifications of the atlas.

In: ``flags.yaml`` beside this file, which says what each flag is made of, in the vocabulary of
``flag_layers.py``. Out: one frozen ``FlagSpec`` per country, or ``None`` for a country that has no
flag on purpose. Nothing is drawn here (see ``flags.py``): what only needs the colours of a flag
does not need Pillow.

A layer is a YAML mapping whose first key names the layer and holds the first field of its class;
the other keys are the other fields: ``{disc: red, size: 0.3}``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from imf_core.base.errors import DataError
from tools.atlas import flag_layers as vocabulary
from tools.atlas.flag_layers import LAYERS, PALETTE, Group, Layer

FLAGS_PATH = Path(__file__).with_name("flags.yaml")

DESIGNS: dict[str, tuple[type[Layer], ...]] = {
    "Horizontal bands": (vocabulary.HorizontalBands,),
    "Vertical bands": (vocabulary.VerticalBands,),
    "Hoist triangle": (vocabulary.Triangle,),
    "With stars": (vocabulary.Star, vocabulary.StarRing, vocabulary.StarGrid),
    "With a crescent": (vocabulary.Crescent,),
    "With a disc": (vocabulary.Disc, vocabulary.Ring, vocabulary.Rays),
    "With a cross": (vocabulary.Cross, vocabulary.Plus),
    "With an emblem": (vocabulary.Shape, vocabulary.Wreath),
    "Union Jack canton": (vocabulary.UnionJack,),
}
"""What a flag is said to show where one of these layers is drawn."""


@dataclass(frozen=True)
class FlagSpec:
    """What one flag is made of.

    Attributes:
        code: The ISO 3166-1 alpha-3 code of the country.
        aspect: Width over height (a ratio "2:3" is written height first, as vexillologists do).
        colours: The palette names that cover at least 3% of the flag, the largest area first.
        layers: What to draw, from the back to the front.
    """

    code: str
    aspect: float
    colours: tuple[str, ...]
    layers: tuple[Layer, ...]


def load_flag_specs(path: Path = FLAGS_PATH) -> dict[str, FlagSpec | None]:
    """Read every flag specification.

    Args:
        path: The YAML file that maps country codes to specifications.

    Returns:
        The specification of each country by its alpha-3 code; ``None`` where there is no flag.

    Raises:
        DataError: A specification is malformed; the message names the country and the layer.
    """
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {
        code: None if value is None else _parse_spec(code, value, path.name)
        for code, value in raw.items()
    }


def flag_colours(spec: FlagSpec) -> tuple[str, ...]:
    """Return the palette names that cover at least 3% of the flag, the largest area first."""
    return spec.colours


def flag_design(spec: FlagSpec) -> tuple[str, ...]:
    """Returns what a person would name first about a flag's layout, in alphabetical order."""
    return tuple(sorted({name for layer in spec.layers for name in _design_of(layer)}))


def _design_of(layer: Layer) -> set[str]:
    """Names the design a layer stands for; fields, lines and free polygons have no name."""
    if isinstance(layer, Group):
        return {name for inner in layer.layers for name in _design_of(inner)}
    return {name for name, kinds in DESIGNS.items() if isinstance(layer, kinds)}


def _parse_spec(code: str, raw: Any, file: str) -> FlagSpec:
    if not isinstance(raw, dict) or set(raw) != {"ratio", "colours", "layers"}:
        raise DataError(f"{file}: {code}: expected the keys ratio, colours and layers, got {raw}")
    unknown = [colour for colour in raw["colours"] if colour not in PALETTE]
    if unknown:
        raise DataError(f"{file}: {code}: colours: {unknown} not in {list(PALETTE)}")
    return FlagSpec(
        code=code,
        aspect=_parse_ratio(raw["ratio"], f"{file}: {code}"),
        colours=tuple(raw["colours"]),
        layers=_parse_layers(raw["layers"], f"{file}: {code}"),
    )


def _parse_ratio(raw: object, where: str) -> float:
    """Return width over height from "height:width"."""
    height, _, width = raw.partition(":") if isinstance(raw, str) else ("", "", "")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise DataError(f'{where}: ratio must be a quoted "height:width", got {raw!r}')
    return int(width) / int(height)


def _parse_layers(raw: object, where: str) -> tuple[Layer, ...]:
    if not isinstance(raw, list):
        raise DataError(f"{where}: layers must be a list, got {raw!r}")
    return tuple(
        _parse_layer(layer, f"{where}: layer {number}") for number, layer in enumerate(raw, 1)
    )


def _parse_layer(raw: Any, where: str) -> Layer:
    if not isinstance(raw, dict) or not raw:
        raise DataError(f"{where}: a layer is a mapping such as {{field: red}}, got {raw!r}")
    name, subject = next(iter(raw.items()))
    if name not in LAYERS:
        raise DataError(f"{where}: unknown layer '{name}', known layers: {', '.join(LAYERS)}")
    layer_class = LAYERS[name]
    if layer_class is Group:
        subject = _parse_layers(subject, f"{where}: {name}")
    first_field = next(iter(layer_class.model_fields))
    fields = {first_field: subject, **{key: raw[key] for key in list(raw)[1:]}}
    try:
        return layer_class.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{where}: {name}: {field}: {first['msg']}") from error
