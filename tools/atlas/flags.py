"""Draw the flags of the atlas with Pillow.

In: a ``FlagSpec``. Out: an RGB image. Every layer is drawn in plain palette colours on a canvas
four times as large as asked for, which is then reduced: one anti-aliasing for all shapes, and the
same bytes every time.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, pairwise
from math import atan2, ceil, cos, degrees, pi, radians, sin, sqrt
from typing import Any, TypeAlias

from PIL import Image, ImageDraw

from tools.atlas import flag_layers as vocabulary
from tools.atlas.flag_layers import OUTLINES, PALETTE, Layer
from tools.atlas.flag_specs import FlagSpec

SUPERSAMPLING = 4

Pixel: TypeAlias = tuple[float, float]


def draw_flag(spec: FlagSpec, height_pixels: int = 128) -> Image.Image:
    """Draw one flag.

    Args:
        spec: What the flag is made of.
        height_pixels: The height of the image; the width follows from the aspect of the flag.

    Returns:
        An RGB image, the same for the same arguments.
    """
    width_pixels = round(height_pixels * spec.aspect)
    canvas = _Canvas(width_pixels * SUPERSAMPLING, height_pixels * SUPERSAMPLING)
    _draw_layers(canvas, spec.layers)
    background = Image.new("RGBA", canvas.image.size, PALETTE["white"])
    background.alpha_composite(canvas.image)
    return background.convert("RGB").reduce(SUPERSAMPLING)


class _Canvas:
    """A transparent image with the coordinates of ``flag_layers``.

    Attributes:
        image: RGBA, every pixel transparent or of one palette colour.
        width, height: Its size in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.image = Image.new("RGBA", (width, height))
        self._draw = ImageDraw.Draw(self.image)

    def place(self, point: vocabulary.Point) -> Pixel:
        """Turn fractions of the width and height into pixels."""
        return point[0] * self.width, point[1] * self.height

    def fill(self, colour: str, pixels: Sequence[Pixel]) -> None:
        """Fill a polygon."""
        self._draw.polygon(pixels, fill=PALETTE[colour])

    def box(self, colour: str, box: vocabulary.Box) -> None:
        """Fill a box given in fractions; neighbours meet without gap or overlap."""
        left, top = (round(value) for value in self.place(box[:2]))
        right, bottom = (round(value) for value in self.place(box[2:]))
        if right > left and bottom > top:
            self._draw.rectangle((left, top, right - 1, bottom - 1), fill=PALETTE[colour])

    def stroke(self, colour: str, points: Iterable[vocabulary.Point], width: float) -> None:
        """Draw a line through points given in fractions, its width in heights."""
        pixels = [self.place(point) for point in points]
        thickness = max(1, round(width * self.height))
        self._draw.line(pixels, fill=PALETTE[colour], width=thickness, joint="curve")


def _draw_layers(canvas: _Canvas, layers: Iterable[Layer]) -> None:
    for layer in layers:
        _DRAWERS[type(layer)](canvas, layer)


# --- areas ---------------------------------------------------------------------------------------


def _draw_plain(canvas: _Canvas, layer: vocabulary.Plain) -> None:
    canvas.box(layer.colour, layer.box)


def _band_edges(
    layer: vocabulary.HorizontalBands | vocabulary.VerticalBands,
) -> list[tuple[str, float, float]]:
    """Return (colour, start, end) of each band, as fractions of the box."""
    count = layer.count or len(layer.colours)
    weights = layer.weights or (1.0,) * count
    ends = [0.0, *(total / sum(weights) for total in accumulate(weights))]
    colours = [layer.colours[band % len(layer.colours)] for band in range(count)]
    return [(colour, *edge) for colour, edge in zip(colours, pairwise(ends), strict=True)]


def _draw_horizontal(canvas: _Canvas, layer: vocabulary.HorizontalBands) -> None:
    left, top, right, bottom = layer.box
    depth = bottom - top
    for colour, start, end in _band_edges(layer):
        canvas.box(colour, (left, top + start * depth, right, top + end * depth))


def _draw_vertical(canvas: _Canvas, layer: vocabulary.VerticalBands) -> None:
    left, top, right, bottom = layer.box
    span = right - left
    for colour, start, end in _band_edges(layer):
        canvas.box(colour, (left + start * span, top, left + end * span, bottom))


def _draw_triangle(canvas: _Canvas, layer: vocabulary.Triangle) -> None:
    apex = (layer.reach * canvas.height, canvas.height / 2)
    canvas.fill(layer.colour, [(0, 0), apex, (0, canvas.height)])


def _draw_polygon(canvas: _Canvas, layer: vocabulary.Polygon) -> None:
    canvas.fill(layer.colour, [canvas.place(point) for point in layer.points])


def _draw_border(canvas: _Canvas, layer: vocabulary.Border) -> None:
    across, down = layer.width * canvas.height / canvas.width, layer.width
    for box in ((0, 0, 1, down), (0, 1 - down, 1, 1), (0, 0, across, 1), (1 - across, 0, 1, 1)):
        canvas.box(layer.colour, box)


def _draw_serrated(canvas: _Canvas, layer: vocabulary.Serrated) -> None:
    tips = [
        point
        for tooth in range(layer.teeth)
        for point in (
            (layer.valley, tooth / layer.teeth),
            (layer.peak, (tooth + 0.5) / layer.teeth),
        )
    ]
    points = [(0.0, 0.0), *tips, (layer.valley, 1.0), (0.0, 1.0)]
    canvas.fill(layer.colour, [canvas.place(point) for point in points])


def _draw_wave(canvas: _Canvas, layer: vocabulary.Wave) -> None:
    steps = [step / 120 for step in range(121)]
    middle = [(x, layer.y - layer.amplitude * cos(2 * pi * layer.crests * x)) for x in steps]
    upper = [canvas.place((x, y - layer.width / 2)) for x, y in middle]
    lower = [canvas.place((x, y + layer.width / 2)) for x, y in middle]
    canvas.fill(layer.colour, upper + lower[::-1])


# --- lines and crosses ---------------------------------------------------------------------------


def _draw_line(canvas: _Canvas, layer: vocabulary.Line) -> None:
    canvas.stroke(layer.colour, layer.points, layer.width)


def _draw_cross(canvas: _Canvas, layer: vocabulary.Cross) -> None:
    x, y = layer.at
    across, down = layer.width * canvas.height / canvas.width / 2, layer.width / 2
    canvas.box(layer.colour, (0, y - down, 1, y + down))
    canvas.box(layer.colour, (x - across, 0, x + across, 1))


def _draw_saltire(canvas: _Canvas, layer: vocabulary.Saltire) -> None:
    canvas.stroke(layer.colour, [(-0.1, -0.1), (1.1, 1.1)], layer.width)
    canvas.stroke(layer.colour, [(-0.1, 1.1), (1.1, -0.1)], layer.width)


def _draw_plus(canvas: _Canvas, layer: vocabulary.Plus) -> None:
    for x, y in layer.at:
        for width, height in ((layer.size, layer.width), (layer.width, layer.size)):
            across, down = width * canvas.height / canvas.width / 2, height / 2
            canvas.box(layer.colour, (x - across, y - down, x + across, y + down))


def _draw_union_jack(canvas: _Canvas, layer: vocabulary.UnionJack) -> None:
    field, edge, cross = layer.colours
    jack = _sub_canvas(canvas, layer.box)
    jack.box(field, vocabulary.WHOLE)
    _draw_saltire(jack, vocabulary.Saltire(colour=edge, width=0.2))
    # The red saltire is counterchanged: in each arm it lies clockwise of the white one's middle.
    dx, dy = 0.03 * jack.height / jack.width, 0.03
    for start, end in (
        ((-dx, dy), (0.5 - dx, 0.5 + dy)),
        ((1 - dx, -dy), (0.5 - dx, 0.5 - dy)),
        ((1 + dx, 1 - dy), (0.5 + dx, 0.5 - dy)),
        ((dx, 1 + dy), (0.5 + dx, 0.5 + dy)),
    ):
        jack.stroke(cross, [start, end], 0.067)
    _draw_cross(jack, vocabulary.Cross(colour=edge, width=0.333))
    _draw_cross(jack, vocabulary.Cross(colour=cross, width=0.2))
    _paste(canvas, jack, layer.box)


# --- round shapes and stars ----------------------------------------------------------------------


def _around(centre: Pixel, radius: float, angle: float, stretch: float = 1.0) -> Pixel:
    """Return the point of a circle at an angle in degrees, clockwise from the fly."""
    x, y = centre
    return x + radius * stretch * cos(radians(angle)), y + radius * sin(radians(angle))


def _arc(
    centre: Pixel, radius: float, start: float, end: float, stretch: float = 1.0
) -> list[Pixel]:
    """Return points on a circle from one angle to another, in degrees."""
    steps = max(2, ceil(abs(end - start) / 3))
    angles = (start + (end - start) * step / steps for step in range(steps + 1))
    return [_around(centre, radius, angle, stretch) for angle in angles]


def _draw_disc(canvas: _Canvas, layer: vocabulary.Disc) -> None:
    for at in layer.at:
        radius = layer.size * canvas.height
        canvas.fill(layer.colour, _arc(canvas.place(at), radius, *layer.arc, layer.stretch))


def _draw_ring(canvas: _Canvas, layer: vocabulary.Ring) -> None:
    start, end = layer.arc
    outer = layer.size * canvas.height
    inner = outer - layer.width * canvas.height
    for at in layer.at:
        centre = canvas.place(at)
        canvas.fill(layer.colour, _arc(centre, outer, start, end) + _arc(centre, inner, end, start))


def _draw_crescent(canvas: _Canvas, layer: vocabulary.Crescent) -> None:
    """Fill the outer arc and, back again, the part of the inner arc inside the outer circle."""
    # The two circles, of radius 1 and `hole`, cross at (x, y) and (x, -y).
    x = (1 - layer.hole**2 + layer.shift**2) / (2 * layer.shift)
    y = sqrt(1 - x**2)
    outer, inner = degrees(atan2(y, x)), degrees(atan2(y, x - layer.shift))
    turn, radius = layer.facing, layer.size * canvas.height
    for at in layer.at:
        centre = canvas.place(at)
        hole_centre = _around(centre, layer.shift * radius, turn)
        points = _arc(centre, radius, turn + outer, turn + 360 - outer)
        points += _arc(hole_centre, layer.hole * radius, turn + 360 - inner, turn + inner)
        canvas.fill(layer.colour, points)


def _star_points(
    centre: Pixel, radius: float, points: int, inner: float, rotate: float = 0.0
) -> list[Pixel]:
    return [
        _around(centre, radius * (inner if corner % 2 else 1), rotate - 90 + corner * 180 / points)
        for corner in range(2 * points)
    ]


def _draw_star(canvas: _Canvas, layer: vocabulary.Star) -> None:
    for at in layer.at:
        radius = layer.size * canvas.height
        canvas.fill(
            layer.colour,
            _star_points(canvas.place(at), radius, layer.points, layer.inner, layer.rotate),
        )


def _draw_star_ring(canvas: _Canvas, layer: vocabulary.StarRing) -> None:
    radius, size = layer.radius * canvas.height, layer.size * canvas.height
    for number in range(layer.count):
        angle = layer.start + number * 360 / layer.count
        centre = _around(canvas.place(layer.at), radius, angle)
        canvas.fill(layer.colour, _star_points(centre, size, layer.points, layer.inner))


def _draw_star_grid(canvas: _Canvas, layer: vocabulary.StarGrid) -> None:
    left, top, right, bottom = layer.box
    across = (right - left) / max(layer.rows)
    down = (bottom - top) / len(layer.rows)
    for row, length in enumerate(layer.rows):
        start = (left + right - across * (length - 1)) / 2
        for column in range(length):
            centre = canvas.place((start + column * across, top + (row + 0.5) * down))
            points = _star_points(centre, layer.size * canvas.height, 5, 0.382)
            canvas.fill(layer.colour, points)


def _draw_rays(canvas: _Canvas, layer: vocabulary.Rays) -> None:
    centre = canvas.place(layer.at)
    half = 180 / layer.count * layer.spread
    for ray in range(layer.count):
        angle = -90 + ray * 360 / layer.count
        far = _arc(centre, layer.size * canvas.height, angle - half, angle + half)
        canvas.fill(layer.colour, [centre, *far])


# --- emblems -------------------------------------------------------------------------------------


def _draw_outline(
    canvas: _Canvas,
    colour: str,
    outline: str,
    centre: Pixel,
    size: float,
    stretch: float,
    turn: float,
) -> None:
    """Fill a named outline, ``size`` pixels high before it is turned by ``turn`` degrees."""
    x, y = centre
    c, s = cos(radians(turn)), sin(radians(turn))
    scaled = [(px * size * stretch, py * size) for px, py in OUTLINES[outline]]
    canvas.fill(colour, [(x + c * px - s * py, y + s * px + c * py) for px, py in scaled])


def _draw_shape(canvas: _Canvas, layer: vocabulary.Shape) -> None:
    for at in layer.at:
        _draw_outline(
            canvas,
            layer.colour,
            layer.outline,
            canvas.place(at),
            layer.size * canvas.height,
            layer.stretch,
            layer.rotate,
        )


def _draw_wreath(canvas: _Canvas, layer: vocabulary.Wreath) -> None:
    radius = layer.size * canvas.height
    for side in (-1, 1):
        for step in range(9):
            angle = 90 - side * (12 + 15 * step)
            centre = _around(canvas.place(layer.at), radius, angle)
            upwards = angle if side > 0 else angle + 180
            for lean in (-28, 28):
                turn = upwards + lean
                _draw_outline(canvas, layer.colour, "leaf", centre, radius * 0.34, 0.9, turn)


def _sub_canvas(canvas: _Canvas, box: vocabulary.Box) -> _Canvas:
    left, top, right, bottom = box
    return _Canvas(round((right - left) * canvas.width), round((bottom - top) * canvas.height))


def _paste(canvas: _Canvas, part: _Canvas, box: vocabulary.Box) -> None:
    left, top = canvas.place(box[:2])
    canvas.image.alpha_composite(part.image, (round(left), round(top)))


def _draw_group(canvas: _Canvas, layer: vocabulary.Group) -> None:
    part = _sub_canvas(canvas, layer.box)
    _draw_layers(part, layer.layers)
    _paste(canvas, part, layer.box)


_DRAWERS: dict[type[Layer], Callable[[_Canvas, Any], None]] = {
    vocabulary.Plain: _draw_plain,
    vocabulary.HorizontalBands: _draw_horizontal,
    vocabulary.VerticalBands: _draw_vertical,
    vocabulary.Triangle: _draw_triangle,
    vocabulary.Polygon: _draw_polygon,
    vocabulary.Line: _draw_line,
    vocabulary.Cross: _draw_cross,
    vocabulary.Saltire: _draw_saltire,
    vocabulary.Plus: _draw_plus,
    vocabulary.Disc: _draw_disc,
    vocabulary.Ring: _draw_ring,
    vocabulary.Crescent: _draw_crescent,
    vocabulary.Star: _draw_star,
    vocabulary.StarRing: _draw_star_ring,
    vocabulary.StarGrid: _draw_star_grid,
    vocabulary.Rays: _draw_rays,
    vocabulary.Border: _draw_border,
    vocabulary.Serrated: _draw_serrated,
    vocabulary.Wave: _draw_wave,
    vocabulary.Wreath: _draw_wreath,
    vocabulary.UnionJack: _draw_union_jack,
    vocabulary.Shape: _draw_shape,
    vocabulary.Group: _draw_group,
}
