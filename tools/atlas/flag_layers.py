"""The vocabulary of the flag specifications: the palette, and one frozen record per kind of layer.

In: the values written in ``flags.yaml``. Out: typed layers, which ``flag_specs.py`` puts together
and ``flags.py`` draws. It stands apart so that a reader of ``flags.yaml`` finds every layer, with
its fields and their defaults, in one place.

Coordinates: a position is (x, y), each a fraction of the width or height of the area drawn on,
from its upper left corner. A length (``size``, ``width``, ``reach``, ``radius``) is a fraction of
the height of that area, whatever its direction, so discs are round and stars are regular.
Angles are in degrees, clockwise. 0 points to the fly (right); for ``rotate`` it means upright.
"""

from typing import Annotated, Any, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    model_validator,
)

from tools.atlas.outlines import OUTLINES

PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (206, 24, 40),
    "green": (0, 122, 61),
    "blue": (14, 58, 156),
    "light_blue": (88, 170, 226),
    "white": (255, 255, 255),
    "black": (16, 16, 16),
    "yellow": (252, 209, 22),
    "orange": (243, 121, 32),
    "maroon": (134, 22, 52),
    "brown": (126, 78, 36),
    "purple": (108, 44, 134),
    "grey": (150, 154, 158),
}


def _one_or_many(value: Any) -> Any:
    """Wrap a single position, so that ``at: [x, y]`` means ``at: [[x, y]]``."""
    is_single = isinstance(value, list) and bool(value) and not isinstance(value[0], list)
    return [value] if is_single else value


def _known_colour(name: str) -> str:
    if name not in PALETTE:
        raise ValueError(f"unknown colour '{name}', the palette is: {', '.join(PALETTE)}")
    return name


def _known_outline(name: str) -> str:
    if name not in OUTLINES:
        raise ValueError(f"unknown outline '{name}', outlines.py has: {', '.join(OUTLINES)}")
    return name


Colour: TypeAlias = Annotated[str, AfterValidator(_known_colour)]
Outline: TypeAlias = Annotated[str, AfterValidator(_known_outline)]
Number: TypeAlias = Annotated[float, Strict()]
Length: TypeAlias = Annotated[float, Strict(), Field(gt=0)]
Count: TypeAlias = Annotated[int, Strict(), Field(gt=0)]
Point: TypeAlias = tuple[Number, Number]
Positions: TypeAlias = Annotated[tuple[Point, ...], BeforeValidator(_one_or_many)]
Box: TypeAlias = tuple[Number, Number, Number, Number]

CENTRE: tuple[Point, ...] = ((0.5, 0.5),)
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


class _Strict(BaseModel):
    """A frozen record that rejects keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Plain(_Strict):
    """``field``: one colour over a box (left, top, right, bottom), by default everywhere."""

    colour: Colour
    box: Box = WHOLE


class _Bands(_Strict):
    """Bands in proportion to ``weights`` (default: equal); ``count`` cycles through the colours."""

    colours: tuple[Colour, ...] = Field(min_length=1)
    weights: tuple[Length, ...] = ()
    count: Count | None = None
    box: Box = WHOLE

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        bands = self.count or len(self.colours)
        if self.weights and len(self.weights) != bands:
            raise ValueError(f"{bands} bands need {bands} weights, got {len(self.weights)}")
        return self


class HorizontalBands(_Bands):
    """``horizontal``: bands from top to bottom."""


class VerticalBands(_Bands):
    """``vertical``: bands from hoist to fly."""


class Triangle(_Strict):
    """``triangle``: based on the whole hoist, its apex ``reach`` away (default: equilateral)."""

    colour: Colour
    reach: Length = 0.866


class Polygon(_Strict):
    """``polygon``: any straight-edged area."""

    colour: Colour
    points: tuple[Point, ...] = Field(min_length=3)


class Line(_Strict):
    """``line``: a stroke through the points; diagonal bands are lines that leave the flag."""

    colour: Colour
    points: tuple[Point, ...] = Field(min_length=2)
    width: Length


class Cross(_Strict):
    """``cross``: reaches every edge; moved towards the hoist it is a Nordic cross."""

    colour: Colour
    width: Length
    at: Point = (0.5, 0.5)


class Saltire(_Strict):
    """``saltire``: both diagonals."""

    colour: Colour
    width: Length


class Plus(_Strict):
    """``plus``: a Greek cross ``size`` across, with arms ``width`` wide."""

    colour: Colour
    size: Length
    width: Length
    at: Positions = CENTRE


class Disc(_Strict):
    """``disc``: of radius ``size``; ``stretch`` is width / height, ``arc`` keeps a sector."""

    colour: Colour
    size: Length
    at: Positions = CENTRE
    stretch: Length = 1.0
    arc: tuple[Number, Number] = (0.0, 360.0)


class Ring(_Strict):
    """``ring``: the outline of a circle of outer radius ``size``, or an ``arc`` of it."""

    colour: Colour
    size: Length
    width: Length
    at: Positions = CENTRE
    arc: tuple[Number, Number] = (0.0, 360.0)


class Crescent(_Strict):
    """``crescent``: a disc less one of radius ``hole``, moved by ``shift``, both times ``size``."""

    colour: Colour
    size: Length
    at: Positions = CENTRE
    hole: Length = 0.8
    shift: Length = 0.3
    facing: Number = 0.0

    @model_validator(mode="after")
    def _check_hole(self) -> Self:
        if not abs(1 - self.hole) < self.shift < 1 + self.hole:
            raise ValueError(f"a hole of {self.hole} moved by {self.shift} does not cut the edge")
        return self


class Star(_Strict):
    """``star``: outer radius ``size``; ``inner`` is the inner radius over the outer one."""

    colour: Colour
    size: Length
    at: Positions = CENTRE
    points: Count = 5
    inner: Length = 0.382
    rotate: Number = 0.0


class StarRing(_Strict):
    """``star_ring``: ``count`` stars on a circle of ``radius``, the first one at ``start``."""

    colour: Colour
    count: Count
    radius: Length
    size: Length
    at: Point = (0.5, 0.5)
    points: Count = 5
    inner: Length = 0.382
    start: Number = -90.0


class StarGrid(_Strict):
    """``star_grid``: rows of stars, each row centred in the box; ``rows`` are their lengths."""

    colour: Colour
    rows: tuple[Count, ...]
    size: Length
    box: Box = WHOLE


class Rays(_Strict):
    """``rays``: wedges that widen away from ``at`` and cover ``spread`` of the full turn."""

    colour: Colour
    count: Count
    size: Length
    at: Point = (0.5, 0.5)
    spread: Length = 0.5


class Border(_Strict):
    """``border``: a frame along the edges."""

    colour: Colour
    width: Length


class Serrated(_Strict):
    """``serrated``: the hoist side, with teeth between x = ``valley`` and x = ``peak``."""

    colour: Colour
    teeth: Count
    valley: Length
    peak: Length


class Wave(_Strict):
    """``wave``: a wavy horizontal stripe around height ``y``."""

    colour: Colour
    y: Number
    width: Length
    crests: Count
    amplitude: Length


class Wreath(_Strict):
    """``wreath``: two rising branches of leaves, open at the top."""

    colour: Colour
    size: Length
    at: Point = (0.5, 0.5)


class UnionJack(_Strict):
    """``union_jack``: field, crosses' edges and crosses in three colours."""

    colours: tuple[Colour, Colour, Colour]
    box: Box = WHOLE


class Shape(_Strict):
    """``shape``: a named outline, ``size`` high, its width times ``stretch``."""

    colour: Colour
    outline: Outline
    size: Length
    at: Positions = CENTRE
    stretch: Number = 1.0
    rotate: Number = 0.0


class Group(_Strict):
    """``group``: layers that take a box (left, top, right, bottom) for their whole area."""

    layers: tuple["Layer", ...]
    box: Box


Layer: TypeAlias = (
    Plain | HorizontalBands | VerticalBands | Triangle | Polygon | Line | Cross | Saltire | Plus
    | Disc | Ring | Crescent | Star | StarRing | StarGrid | Rays | Border | Serrated | Wave
    | Wreath | UnionJack | Shape | Group
)  # fmt: skip

LAYERS: dict[str, type[Layer]] = {
    "field": Plain,
    "horizontal": HorizontalBands,
    "vertical": VerticalBands,
    "triangle": Triangle,
    "polygon": Polygon,
    "line": Line,
    "cross": Cross,
    "saltire": Saltire,
    "plus": Plus,
    "disc": Disc,
    "ring": Ring,
    "crescent": Crescent,
    "star": Star,
    "star_ring": StarRing,
    "star_grid": StarGrid,
    "rays": Rays,
    "border": Border,
    "serrated": Serrated,
    "wave": Wave,
    "wreath": Wreath,
    "union_jack": UnionJack,
    "shape": Shape,
    "group": Group,
}
