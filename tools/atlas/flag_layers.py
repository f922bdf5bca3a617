"""The vocabulary of the flag specifications: the palette, and one frozen record per kind of layer.

In: the values written in ``flags.yaml``. Out: typed layers, which ``flag_specs.py`` puts together
and ``flags.py`` draws. It stands apart so that a reader of ``flags.yaml`` finds every layer, with
its fields and their defaults, in one place.

Coordinates: a position is (x, y), each a fraction of the width or height of the area drawn on,
from its upper left corner. A length (``size``, ``width``, ``reach``, ``radius``) is a fraction of
the height of that area, whatever its direction, so discs are round and stars are regular.
Angles are in degrees, clockwise. 0 points to the fly (right); for ``rotate`` it means upright.

``OUTLINES`` are the shapes of emblems: a polygon per name, its points (x, y) in heights of the
outline around its centre, x to the right and y down, drawn by hand on a coarse grid.
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

Points: TypeAlias = tuple[tuple[float, float], ...]

# Hundredths of the height. The right half, from top to bottom: the left half mirrors it.
_SYMMETRIC = {
    "bird": "0,-28 5,-25 5,-14 16,-20 30,-20 50,-4 34,-9 20,-3 9,6 6,14 12,28 0,22",
    "cedar": "0,-50 10,-38 6,-36 20,-24 10,-22 32,-6 16,-6 45,14 20,14 50,32 7,30 9,50",
    "crown": "0,-50 12,0 26,-38 31,4 50,-26 38,50",
    "double_eagle": "0,-20 4,-30 3,-40 8,-49 16,-50 21,-45 31,-41 21,-39 14,-38 13,-30 12,-20"
    " 18,-18 26,-26 34,-32 46,-30 38,-26 50,-19 41,-17 50,-8 41,-8 48,3 39,0 43,12 34,8 34,18"
    " 26,12 22,14 22,20 32,20 38,27 28,26 30,34 18,28 10,28 8,36 14,44 5,42 0,50",
    "eagle": "0,-48 8,-44 8,-34 14,-26 30,-36 46,-32 48,20 42,12 40,28 34,16 31,32 24,18 16,18"
    " 16,28 24,36 12,34 12,48 0,42",
    "hat": "0,-50 8,-47 8,-38 4,-34 12,-18 26,10 50,30 46,44 24,50 0,50",
    "leaf": "0,-50 16,-25 20,5 12,32 0,50",
    "maple_leaf": "0,-50 10,-32 19,-37 13,-7 28,-22 31,-14 45,-17 41,-4 49,0 25,19 28,27 2,24"
    " 2.5,50",
    "shield": "0,-50 42,-50 42,0 38,18 26,35 0,50",
    "square": "0,-50 50,-50 50,50",
    "sword": "0,-50 3,-42 3,18 12,18 12,24 3,24 3,42 5,46 0,50",
    "temple": "0,-50 5,-36 8,-8 16,-8 18,-20 22,-30 26,-20 28,-2 36,-2 38,-12 42,-20 46,-12"
    " 48,12 62,12 62,30 70,30 70,50",
    "tree": "0,-50 20,-48 38,-36 46,-18 40,-4 24,4 6,6 6,42 14,50",
    "trident": "0,-50 5,-36 4,-34 4,0 17,-3 18,-28 14,-26 27,-46 24,12 4,10 4,50",
}

# Hundredths of the height, the whole way round.
_ASYMMETRIC = {
    "cyprus": "-62,14 -52,-4 -36,-8 -26,0 -8,-14 14,-20 34,-34 60,-50 42,-26 30,-12 34,0 22,8"
    " 6,16 0,26 -18,32 -40,34 -54,24",
    "standing_bird": "-22,-42 -10,-50 0,-46 4,-36 2,-22 16,-14 30,8 40,34 26,24 14,22 8,26 10,44"
    " 18,50 -4,50 4,44 0,26 -12,14 -16,-4 -6,-22 -6,-36 -12,-40",
    "bird_of_paradise": "-50,-6 -34,-18 -24,-14 -12,-4 -6,-24 8,-44 22,-50 18,-36 34,-40 22,-24"
    " 40,-22 20,-10 26,2 50,8 34,14 46,30 24,20 26,42 8,20 -2,10 -18,6 -32,-4",
    "parrot": "-14,-50 2,-48 10,-36 12,-16 22,6 22,22 30,50 14,44 8,30 -6,26 -18,10 -18,-10"
    " -12,-28 -24,-32 -24,-42",
}

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

Number: TypeAlias = Annotated[float, Strict()]

Length: TypeAlias = Annotated[float, Strict(), Field(gt=0)]

Count: TypeAlias = Annotated[int, Strict(), Field(gt=0)]

Point: TypeAlias = tuple[Number, Number]

Box: TypeAlias = tuple[Number, Number, Number, Number]

CENTRE: tuple[Point, ...] = ((0.5, 0.5),)

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


def _points(text: str) -> Points:
    """Read ``"x,y x,y"`` in hundredths."""
    pairs = (pair.split(",") for pair in text.split())
    return tuple((float(x) / 100, float(y) / 100) for x, y in pairs)


def _mirrored(right_half: Points) -> Points:
    """Close a right half with its mirror image."""
    return right_half + tuple((-x, y) for x, y in reversed(right_half))


OUTLINES: dict[str, Points] = {
    **{name: _mirrored(_points(text)) for name, text in _SYMMETRIC.items()},
    **{name: _points(text) for name, text in _ASYMMETRIC.items()},
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


Positions: TypeAlias = Annotated[tuple[Point, ...], BeforeValidator(_one_or_many)]


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
