"""Named outlines for the emblems on flags: leaves, birds, shields, crowns.

In: nothing. Out: ``OUTLINES``, a polygon per name, its points (x, y) in heights of the outline
around its centre, x to the right and y down. They were drawn by hand on a coarse grid: silhouettes
to recognise an emblem by, not heraldry. ``flags.py`` scales, turns and fills them.
"""

from typing import TypeAlias

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
