"""Numeric features: quantiles of attributes, for all entities and for an unseen one."""

from collections.abc import Callable

import numpy as np
import pytest
from feature_inputs import Workspace

from imf_core.base.errors import QuestionError
from imf_core.base.modality import find_modalities
from imf_core.features.numeric import MODALITY, NumericFeaturesParams
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.numbers import Numbers, save_numbers

MakeWorkspace = Callable[..., Workspace]


def params(dim: int = 8) -> NumericFeaturesParams:
    values = {"precomputed": None, "model": "builtin:quantiles", "dim": dim}
    return NumericFeaturesParams.model_validate(values)


def encode(place: Workspace, rows: list[tuple[int, str, float]], dim: int = 8) -> FeatureTable:
    attributes = sorted({row[1] for row in rows})
    numbers = Numbers(
        attributes,
        np.array([row[0] for row in rows], np.int64),
        np.array([attributes.index(row[1]) for row in rows], np.int32),
        np.array([row[2] for row in rows], np.float64),
    )
    save_numbers(numbers, place.graph.fingerprint, place.inputs.graph)
    return MODALITY.write(place.inputs, params(dim), place.output)


HEIGHTS = [(0, "height", 1.0), (1, "height", 5.0), (2, "height", 900.0), (0, "mass", 3.0)]


def test_values_become_quantiles_with_a_flag(workspace: MakeWorkspace) -> None:
    rows = [*HEIGHTS, (3, "mass", 3.0)]
    table = encode(workspace(5), rows)
    expected = [[-2 / 3, 1, 0, 1], [0, 1, 0, 0], [2 / 3, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    np.testing.assert_allclose(table.vectors.numpy(), expected, atol=1e-6)
    assert table.is_present.tolist() == [True, True, True, True, False]


def test_units_do_not_matter(workspace: MakeWorkspace) -> None:
    place = workspace(5)
    one = encode(place, HEIGHTS[:3]).vectors
    other = encode(place, [(e, a, 100 * v) for e, a, v in HEIGHTS[:3]]).vectors
    assert one.equal(other)


def test_several_values_of_an_attribute_are_averaged(workspace: MakeWorkspace) -> None:
    table = encode(workspace(5), [*HEIGHTS[:3], (0, "height", 900.0)])
    assert table.vectors[0].tolist() == pytest.approx([(-0.75 + 0.5) / 2, 1.0])


def test_the_most_frequent_attributes_are_kept_and_single_values_are_not(
    workspace: MakeWorkspace,
) -> None:
    place = workspace(5)
    assert encode(place, HEIGHTS).vectors.shape == (5, 2)
    rows = [*HEIGHTS, (1, "mass", 4.0)]
    assert encode(place, rows, dim=1).vectors.shape == (5, 2)


def test_a_graph_without_numbers_has_empty_features(workspace: MakeWorkspace) -> None:
    table = encode(workspace(5), [])
    assert table.vectors.shape == (5, 1)
    assert not table.is_present.any()


def new(place: Workspace, table: FeatureTable, given: str) -> list[float]:
    encoder = MODALITY.fit_unseen(place.inputs, params(), table)
    return list(encoder.encode([given])[0].tolist())


def test_an_unseen_entity_with_the_numbers_of_another_has_its_vector(
    workspace: MakeWorkspace,
) -> None:
    place = workspace(5)
    table = encode(place, [*HEIGHTS, (3, "mass", 3.0)])
    assert new(place, table, "height 5") == table.vectors[1].tolist()
    assert new(place, table, "height = 1; mass = 3;") == table.vectors[0].tolist()
    assert new(place, table, "heig 1e6") == [1.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("1.78", "must be written as"),
        ("height tall", "must be written as"),
        (";", "numbers must be `attribute value; attribute value`, got ';'"),
        ("height 1; height 2", "height must have one value, got 'height 2' as a further one"),
        ("width 3", "no attribute has 'width' in its label; name one of them: height, mass"),
    ],
)
def test_unusable_numbers_of_an_unseen_entity_are_refused(
    given: str, message: str, workspace: MakeWorkspace
) -> None:
    place = workspace(5)
    table = encode(place, [*HEIGHTS, (3, "mass", 3.0)])
    with pytest.raises(QuestionError, match=message):
        new(place, table, given)


def test_a_saved_encoder_gives_the_same_vectors(workspace: MakeWorkspace) -> None:
    place = workspace(5)
    table = encode(place, [*HEIGHTS, (3, "mass", 3.0)])
    encoder = MODALITY.fit_unseen(place.inputs, params(), table)
    encoder.save(place.root / "saved")
    loaded = MODALITY.load_unseen(place.root / "saved", table)
    given = ["height 5; mass 2", "mass 3"]
    assert loaded.encode(given).equal(encoder.encode(given))


def test_a_part_of_two_labels_is_refused(workspace: MakeWorkspace) -> None:
    place = workspace(5)
    table = encode(place, [(e, a, 1.0) for e in (0, 1) for a in ("mass", "sizes")])
    with pytest.raises(QuestionError, match="2 attributes have 's' in their label"):
        new(place, table, "s 3")


def test_numbers_are_a_modality_that_is_off_by_default() -> None:
    assert find_modalities()["numeric"] is MODALITY
    assert not MODALITY.is_automatic
