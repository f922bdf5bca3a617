"""`builtin:colour-pca`: colour and layout of a picture, without learned weights.

A picture has three descriptions: (1) a squeezed thumbnail, for colour and layout; (2) colour
histograms of the whole and of its thirds, independent of layout; (3) edge directions on a coarse
grid, independent of colour. Each description gets the same share of the variance, then
scikit-learn's PCA reduces all of them. The components are not whitened: the first ones hold the
similarities of pictures, the last ones details. This suits drawings such as flags, logos and maps;
it does not recognise the content of a photograph.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.decomposition import PCA

from imf_core.base.errors import DataError
from imf_core.features.shared.unseen import read_arrays, write_arrays
from imf_core.raster.reencode import map_in_order, open_rgb

THUMBNAIL_PIXELS = 16
CANVAS_PIXELS = 48  # histograms and edges are taken at this size, aspect squeezed
COLOUR_LEVELS = 4  # per channel of the histogram's colour cube
EDGE_GRID = 4
EDGE_DIRECTIONS = 8
FIT_IMAGES = 20_000

WEIGHTS = "encoder.safetensors"
"""File of a saved encoder."""

_BLOCKS = (
    THUMBNAIL_PIXELS**2 * 3,
    7 * COLOUR_LEVELS**3,
    EDGE_GRID**2 * EDGE_DIRECTIONS,
)


def describe_images(images: Iterable[bytes]) -> np.ndarray:
    """Describes pictures by colour and layout.

    Args:
        images: Pictures from `reencode_image`.

    Returns:
        shape: (n, 1344), dtype: float32; about 5 kB per picture.
    """
    rows = list(map_in_order(_describe, images, os.cpu_count() or 1))
    return np.stack(rows) if rows else np.zeros((0, sum(_BLOCKS)), np.float32)


class FittedReduction:
    """Standardises the blocks of descriptions and keeps their principal directions.

    Args:
        mean: Mean of the fitted descriptions, shape: (1344,), dtype: float64.
        scale: Factor of each number, shape: (1344,), dtype: float64.
        components: Principal directions, shape: (F, 1344), dtype: float64; F is zero if the fitted
            pictures are equal.
        centre: Mean along the directions, shape: (F,), dtype: float64.
    """

    def __init__(
        self, mean: np.ndarray, scale: np.ndarray, components: np.ndarray, centre: np.ndarray
    ) -> None:
        self._mean, self._scale = mean, scale
        self._components, self._centre = components, centre

    @classmethod
    def fit(cls, descriptions: np.ndarray, dim: int) -> "FittedReduction":
        """Fits the directions to at most `FIT_IMAGES` evenly spaced descriptions.

        Args:
            descriptions: shape: (n, 1344), dtype: float32, n at least one.
            dim: Upper bound of the components kept; also bounded by n - 1.
        """
        fitted = descriptions[:: max(1, -(-len(descriptions) // FIT_IMAGES))].astype(np.float64)
        mean = fitted.mean(axis=0)
        scale = _block_scales(fitted - mean)
        if not scale.any():
            return cls(mean, scale, np.zeros((0, fitted.shape[1])), np.zeros(0))
        num_components = min(dim, len(fitted) - 1, fitted.shape[1])
        # Both solvers are exact and repeatable; they differ in speed for many or few rows.
        solver = "covariance_eigh" if len(fitted) > fitted.shape[1] else "full"
        pca = PCA(num_components, svd_solver=solver).fit((fitted - mean) * scale)
        centre = pca.mean_.reshape(1, -1) @ pca.components_.T
        return cls(mean, scale, pca.components_, centre[0])

    def apply(self, descriptions: np.ndarray) -> np.ndarray:
        """Reduces descriptions, those of the fit or others.

        Args:
            descriptions: shape: (m, 1344), dtype: float32.

        Returns:
            shape: (m, F), dtype: float32; rows of length one. A column of ones if the fitted
            pictures are equal.
        """
        if not len(self._components):
            return np.ones((len(descriptions), 1), np.float32)
        parts = [
            ((descriptions[start : start + FIT_IMAGES] - self._mean) * self._scale)
            @ self._components.T
            - self._centre
            for start in range(0, len(descriptions), FIT_IMAGES)
        ]
        vectors = np.concatenate(parts)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)

    def encode(self, pictures: Sequence[bytes]) -> np.ndarray:
        """Encodes pictures from `reencode_image`; `apply` has the shape."""
        return self.apply(describe_images(pictures))

    def save(self, folder: Path) -> None:
        """Writes `encoder.safetensors`."""
        arrays = {name.removeprefix("_"): each for name, each in vars(self).items()}
        write_arrays(folder / WEIGHTS, arrays)

    @classmethod
    def load(cls, folder: Path) -> "FittedReduction":
        """Reads the file of `save`.

        Raises:
            DataError: If the file is missing, damaged or of another encoder.
        """
        arrays = read_arrays(folder / WEIGHTS)
        if arrays.keys() != {"mean", "scale", "components", "centre"}:
            raise DataError(
                f"{folder / WEIGHTS} has the arrays {', '.join(sorted(arrays))}, which is no "
                "encoder of pictures; pack the model again with `imf export --model`"
            )
        return cls(**arrays)


def reduce_descriptions(descriptions: np.ndarray, dim: int) -> np.ndarray:
    """Reduces descriptions to their own principal directions; see `FittedReduction`."""
    return FittedReduction.fit(descriptions, dim).apply(descriptions)


def _block_scales(centred: np.ndarray) -> np.ndarray:
    """Returns factors that give every block the total variance one; 0 without variance.

    The factor is per block, not per feature: otherwise a colour of a single picture would weigh as
    much as the colours that distinguish many pictures.
    """
    variances = np.split((centred**2).mean(axis=0), np.cumsum(_BLOCKS)[:-1])
    factors = [0.0 if block.sum() < 1e-12 else block.sum() ** -0.5 for block in variances]
    return np.repeat(np.array(factors), np.array(_BLOCKS))


def _describe(content: bytes) -> np.ndarray:
    """Returns all blocks of one picture, in the order of `_BLOCKS`."""
    image = open_rgb(content)
    small = image.resize((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.BOX)
    canvas = image.resize((CANVAS_PIXELS, CANVAS_PIXELS), Image.Resampling.BOX)
    pixels = np.asarray(canvas, dtype=np.float32) / 255
    thumbnail = np.asarray(small, dtype=np.float32).ravel() / 255
    return np.concatenate([thumbnail, _colours(pixels), _edges(pixels)]).astype(np.float32)


def _colours(pixels: np.ndarray) -> np.ndarray:
    """Returns square roots of colour shares (for Hellinger distances) of the whole and its thirds.

    Args:
        pixels: shape: (S, S, 3), values in [0, 1].
    """
    levels = np.minimum((pixels * COLOUR_LEVELS).astype(np.int64), COLOUR_LEVELS - 1)
    bins = levels @ np.array([COLOUR_LEVELS**2, COLOUR_LEVELS, 1])
    third = CANVAS_PIXELS // 3
    rows = [bins[i * third : (i + 1) * third] for i in range(3)]
    columns = [bins[:, i * third : (i + 1) * third] for i in range(3)]
    counts = [
        np.bincount(part.ravel(), minlength=COLOUR_LEVELS**3) / part.size
        for part in (bins, *rows, *columns)
    ]
    return np.asarray(np.sqrt(np.concatenate(counts)))


def _edges(pixels: np.ndarray) -> np.ndarray:
    """Returns the strength of edges by direction in each cell of a coarse grid.

    Each pixel uses the strongest of its three colours. Directions are modulo half a turn, so that
    swapping the colours of the two sides changes nothing.
    """
    down, across = np.gradient(pixels, axis=(0, 1))
    channel = (down**2 + across**2).argmax(axis=2)[..., None]
    down = np.take_along_axis(down, channel, axis=2)[..., 0]
    across = np.take_along_axis(across, channel, axis=2)[..., 0]
    turn = np.mod(np.arctan2(down, across), np.pi) / np.pi
    direction = np.rint(turn * EDGE_DIRECTIONS).astype(np.int64) % EDGE_DIRECTIONS
    cell = np.arange(CANVAS_PIXELS) * EDGE_GRID // CANVAS_PIXELS
    bins = (cell[:, None] * EDGE_GRID + cell[None, :]) * EDGE_DIRECTIONS + direction
    strength = np.bincount(
        bins.ravel(), np.hypot(down, across).ravel(), minlength=EDGE_GRID**2 * EDGE_DIRECTIONS
    )
    return np.asarray(np.sqrt(strength / CANVAS_PIXELS))
