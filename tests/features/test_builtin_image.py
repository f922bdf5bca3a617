import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from feature_inputs import Workspace, image_features_params, picture, write_image_features
from PIL import Image, ImageDraw

from imf_core.base.errors import ConfigError
from imf_core.features.image.builtin_image import describe_images, reduce_descriptions
from imf_core.graph.feature_table import FeatureTable, load_features

MakeWorkspace = Callable[..., Workspace]


def flag(draw: Callable[[ImageDraw.ImageDraw], None], background: str) -> bytes:
    image = Image.new("RGB", (60, 40), background)
    draw(ImageDraw.Draw(image))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def nordic(background: str, cross: str) -> bytes:
    def draw(canvas: ImageDraw.ImageDraw) -> None:
        canvas.rectangle((16, 0, 23, 40), cross)
        canvas.rectangle((0, 16, 60, 23), cross)

    return flag(draw, background)


def tricolour(left: str, middle: str, right: str) -> bytes:
    def draw(canvas: ImageDraw.ImageDraw) -> None:
        canvas.rectangle((20, 0, 39, 40), middle)
        canvas.rectangle((40, 0, 60, 40), right)

    return flag(draw, left)


def write(place: Workspace, **changes: object) -> FeatureTable:
    params = image_features_params(**changes)
    return write_image_features(place, params)


def test_like_flags_are_nearest() -> None:
    flags = [
        nordic("red", "white"),
        nordic("blue", "yellow"),
        nordic("white", "blue"),
        tricolour("green", "white", "red"),
        tricolour("blue", "white", "red"),
        tricolour("green", "white", "orange"),
    ]
    vectors = reduce_descriptions(describe_images(flags), 64)
    likeness = vectors @ vectors.T - 2 * np.eye(6)
    assert all((row.argmax() < 3) == (i < 3) for i, row in enumerate(likeness))


def test_vectors_have_length_one_and_at_most_the_dim_asked_for() -> None:
    descriptions = describe_images([picture(seed) for seed in range(12)])
    assert descriptions.dtype == np.float32
    vectors = reduce_descriptions(descriptions, 5)
    assert vectors.shape == (12, 5)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_few_pictures_bound_the_dim() -> None:
    descriptions = describe_images([picture(seed) for seed in range(4)])
    assert reduce_descriptions(descriptions, 128).shape == (4, 3)


@pytest.mark.parametrize("count", [1, 3])
def test_pictures_that_do_not_differ_give_ones(count: int) -> None:
    descriptions = describe_images([picture(0)] * count)
    assert reduce_descriptions(descriptions, 8).tolist() == [[1.0]] * count


def test_no_pictures_describe_as_no_rows() -> None:
    assert len(describe_images([])) == 0


def test_the_solver_for_many_pictures_agrees_with_the_one_for_few() -> None:
    descriptions = np.random.default_rng(0).random((40, 1344), dtype=np.float32)
    few = reduce_descriptions(descriptions, 3)
    many = reduce_descriptions(np.tile(descriptions, (34, 1)), 3)[:40]
    assert np.allclose(few, many, atol=1e-3)


def test_an_entity_gets_the_mean_of_its_pictures(workspace: MakeWorkspace) -> None:
    place = workspace(4)
    place.make_images([(0, picture(0)), (1, picture(1)), (2, picture(0)), (2, picture(1))])
    vectors = write(place).vectors
    assert torch.allclose(vectors[2], (vectors[0] + vectors[1]) / 2, atol=1e-6)


def test_entities_without_a_picture_have_zeros(workspace: MakeWorkspace) -> None:
    place = workspace(4)
    place.make_images([(0, picture(0)), (2, picture(1)), (2, picture(2))])
    features = write(place)
    assert features.is_present.tolist() == [True, False, True, False]
    assert not features.vectors[~features.is_present].any()


def test_the_same_pictures_give_the_same_bytes(workspace: MakeWorkspace) -> None:
    place = workspace(8)
    place.make_images([(i, picture(i)) for i in range(8)])
    write(place)
    first = place.output.read_bytes()
    write(place)
    assert place.output.read_bytes() == first


def test_no_pictures_at_all_is_fine(workspace: MakeWorkspace) -> None:
    place = workspace(2)
    place.make_images([])
    write(place)
    read = load_features(place.output, place.graph.fingerprint)
    assert not read.is_present.any()
    assert read.provenance == {"model": "builtin:colour-pca"}


def test_a_revision_of_a_builtin_is_refused(workspace: MakeWorkspace, tmp_path: Path) -> None:
    place = workspace(1)
    place.make_images([(0, picture(0))])
    with pytest.raises(ConfigError, match="must be null"):
        write(place, revision="0" * 40)
