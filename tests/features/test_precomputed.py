import hashlib
import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feature_inputs import Workspace

from imf_core.base.errors import ConfigError, DataError
from imf_core.base.modality import PrecomputedParams
from imf_core.features.shared import precomputed_rows
from imf_core.features.shared.precomputed import Precomputed, describe, write_precomputed_features
from imf_core.graph.feature_table import load_features

MakeWorkspace = Callable[..., Workspace]

FLOATS = [np.float16, np.float32, np.float64]
VECTORS = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.float32)
IN_OTHER_ORDER = ["e2", "e0", "e1"]


@pytest.fixture
def place(workspace: MakeWorkspace) -> Workspace:
    """A graph of the entities e0, e1 and e2."""
    return workspace(3)


def take(place: Workspace, path: Path) -> Precomputed:
    """Reads a file with its hash as the pinned one."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    params = PrecomputedParams(path=str(path), sha256=sha256)
    return write_precomputed_features("image_features", place.entities, params, place.output)


def parquet(place: Workspace, **columns: object) -> Path:
    path = place.root / "ready.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def npy(place: Workspace, array: np.ndarray) -> Path:
    path = place.root / "ready.npy"
    np.save(path, array)
    return path


def lists(vectors: object, kind: pa.DataType | None = None) -> pa.Array:
    return pa.array([list(row) for row in vectors], kind or pa.list_(pa.float32()))


def fields(keys: object, vectors: np.ndarray, name: str = "entity") -> np.ndarray:
    """A structured array with a key and a vector in each row."""
    keys = np.asarray(keys)
    kinds = [(name, keys.dtype), ("vector", vectors.dtype, vectors.shape[1:])]
    array = np.zeros(len(keys), kinds)
    array[name], array["vector"] = keys, vectors
    return array


def expect_in_order(found: Precomputed) -> None:
    """The vectors of `VECTORS` belong to e2, e0 and e1."""
    assert found.features.vectors.tolist() == VECTORS[[1, 2, 0]].tolist()
    assert found.features.is_present.all()


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
@pytest.mark.parametrize("size", [-1, 3])
def test_parquet_lists_of_any_float_are_read(
    kind: pa.DataType, size: int, place: Workspace
) -> None:
    vectors = pa.array([list(row) for row in VECTORS.astype(np.float16)], pa.list_(kind, size))
    expect_in_order(take(place, parquet(place, entity=IN_OTHER_ORDER, vector=vectors)))


@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_parquet_labels_may_be_large_or_categories(kind: pa.DataType, place: Workspace) -> None:
    labels = pa.array(IN_OTHER_ORDER).cast(kind)
    expect_in_order(take(place, parquet(place, entity=labels, vector=lists(VECTORS))))


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint8()])
def test_parquet_rows_may_go_by_id(kind: pa.DataType, place: Workspace) -> None:
    ids = pa.array([2, 0, 1], kind)
    expect_in_order(take(place, parquet(place, entity_id=ids, vector=lists(VECTORS))))


def test_further_parquet_columns_are_left_alone(place: Workspace) -> None:
    path = parquet(place, entity=IN_OTHER_ORDER, vector=lists(VECTORS), name=["x", "y", "z"])
    expect_in_order(take(place, path))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("keys", [IN_OTHER_ORDER, np.array(IN_OTHER_ORDER, "S2")])
def test_structured_arrays_with_labels_are_read(
    keys: object, dtype: type, place: Workspace
) -> None:
    expect_in_order(take(place, npy(place, fields(keys, VECTORS.astype(dtype)))))


def test_structured_arrays_with_ids_are_read(place: Workspace) -> None:
    array = fields(np.array([2, 0, 1], np.uint16), VECTORS, "entity_id")
    expect_in_order(take(place, npy(place, array)))


@pytest.mark.parametrize("dtype", [*FLOATS, ">f4"])
def test_plain_arrays_have_a_row_per_id(dtype: type, place: Workspace) -> None:
    expect_in_order(take(place, npy(place, VECTORS[[1, 2, 0]].astype(dtype))))


def test_arrays_in_the_order_of_fortran_are_read(place: Workspace) -> None:
    expect_in_order(take(place, npy(place, np.asfortranarray(VECTORS[[1, 2, 0]]))))


def test_rows_by_id_are_shown_with_their_labels(place: Workspace) -> None:
    assert "  by entity id: 0 is 'e0', 2 is 'e2'" in describe(take(place, npy(place, VECTORS)))


def test_small_batches_give_what_one_gives(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ["e1", "e0", "e1", "e0", "e1"]
    vectors = np.random.default_rng(0).normal(size=(5, 3))
    files = [
        npy(place, fields(keys, vectors)),
        parquet(place, entity=keys, vector=lists(vectors, pa.list_(pa.float64()))),
    ]
    whole = [take(place, path).features.digest for path in files]
    monkeypatch.setattr(precomputed_rows, "BATCH_ROWS", 2)
    assert [take(place, path).features.digest for path in files] == whole
    assert whole[0] == whole[1]


def test_several_rows_of_an_entity_are_averaged(place: Workspace) -> None:
    found = take(place, parquet(place, entity=["e1", "e0", "e1"], vector=lists(VECTORS)))
    assert found.features.vectors.tolist() == [[4, 5, 6], [4, 5, 6], [0, 0, 0]]
    assert found.features.is_present.tolist() == [True, True, False]
    assert "  1 entities have several rows: averaged" in describe(found)


def test_a_row_of_zeros_is_no_feature(place: Workspace) -> None:
    found = take(place, npy(place, VECTORS * [[1], [0], [1]]))
    assert found.features.is_present.tolist() == [True, False, True]
    assert "  1 rows are all zero: taken as missing" in describe(found)


def test_a_row_of_zeros_does_not_pull_an_average_down(place: Workspace) -> None:
    vectors = VECTORS * [[1], [0], [1]]
    found = take(place, parquet(place, entity=["e0", "e0", "e1"], vector=lists(vectors)))
    assert found.features.vectors[0].tolist() == [1, 2, 3]
    assert found.averaged_entities == 0


def test_rows_that_cancel_out_are_no_feature(place: Workspace) -> None:
    vectors = [[1.0, 2.0], [-1.0, -2.0], [3.0, 4.0]]
    found = take(place, parquet(place, entity=["e0", "e0", "e1"], vector=lists(vectors)))
    assert found.features.is_present.tolist() == [False, True, False]


def test_unknown_labels_are_counted_once_and_warned_of(place: Workspace) -> None:
    found = take(place, parquet(place, entity=["moon", "e0", "moon"], vector=lists(VECTORS)))
    assert found.unknown_labels == ["moon"]
    first, warning = describe(found)
    assert first == (
        "1 of 3 entities have features: precomputed:ready.parquet, 3 rows of 3 numbers, "
        "1 unknown labels"
    )
    assert warning.startswith("warning: 1 labels of the file are not in the graph")
    assert warning.endswith("(such as 'moon')")


def test_what_is_saved_says_where_it_is_from(place: Workspace) -> None:
    path = parquet(place, entity=["e1", "e0", "e1"], vector=lists(VECTORS))
    found = take(place, path)
    read = load_features(place.output, place.graph.fingerprint)
    assert read.digest == found.features.digest
    assert read.provenance == {
        "model": "precomputed:ready.parquet",
        "file_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "rows": "3",
        "entities": "2",
    }


def test_the_same_file_gives_the_same_bytes_wherever_it_lies(
    place: Workspace, tmp_path: Path
) -> None:
    path = npy(place, VECTORS)
    take(place, path)
    first = place.output.read_bytes()
    (tmp_path / "elsewhere").mkdir()
    take(place, path.rename(tmp_path / "elsewhere/ready.npy"))
    assert place.output.read_bytes() == first


def test_another_hash_is_an_error_that_says_both(place: Workspace) -> None:
    path = npy(place, VECTORS)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    params = PrecomputedParams(path=str(path), sha256="0" * 64)
    message = (
        rf"text_features\.precomputed\.sha256 in params\.yaml: .*ready\.npy must have 0{{64}}, it "
        rf"has {found}; .*set text_features\.precomputed\.sha256 to {found}"
    )
    with pytest.raises(DataError, match=message):
        write_precomputed_features("text_features", place.entities, params, place.output)
    assert not place.output.exists()


def test_a_missing_file_is_an_error(place: Workspace) -> None:
    params = PrecomputedParams(path="no/such.npy", sha256="0" * 64)
    with pytest.raises(DataError, match=r"image_features\.precomputed\.path .*such\.npy is not a"):
        write_precomputed_features("image_features", place.entities, params, place.output)


def test_another_suffix_is_an_error(place: Workspace) -> None:
    path = npy(place, VECTORS).rename(place.root / "ready.pth")
    with pytest.raises(ConfigError, match=r"must end in \.parquet or \.npy, got .*ready\.pth"):
        take(place, path)


def test_a_pickle_is_refused_and_not_run(place: Workspace) -> None:
    class Bomb:
        def __reduce__(self) -> object:
            return Path.touch, (place.root / "exploded",)

    path = place.root / "ready.npy"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataError, match=r"pickles and archives are not loaded.*np\.save"):
        take(place, path)
    assert not (place.root / "exploded").exists()


def test_an_array_of_objects_is_refused(place: Workspace) -> None:
    with pytest.raises(DataError, match=r"cannot be read .*pickled .* not loaded; save plain"):
        take(place, npy(place, np.array([{"e0": 1}], dtype=object)))


def test_an_npz_archive_is_refused(place: Workspace) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, VECTORS)
    path = place.root / "ready.npy"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match=r"is no \.npy file"):
        take(place, path)


@pytest.mark.parametrize("kept", [0, 4, 20, 100, -4])
@pytest.mark.parametrize("make", ["npy", "parquet"])
def test_a_truncated_file_is_an_error(kept: int, make: str, place: Workspace) -> None:
    whole = parquet(place, entity=IN_OTHER_ORDER, vector=lists(VECTORS))
    path = npy(place, VECTORS) if make == "npy" else whole
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"ready\.\w+ (cannot be read|is no)"):
        take(place, path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["e0"], "feature": [[1.0]]}, r"must have a column vector .*it has id, feature"),
        ({"entity": ["e0"]}, r"must have a column vector and one of .*it has entity"),
        ({"vector": [[1.0]]}, r"one of entity \(label\) and entity_id .*it has vector"),
        ({"entity": ["e0"], "entity_id": [0], "vector": [[1.0]]}, "one of entity"),
        ({"entity": [0], "vector": [[1.0]]}, "column entity must hold strings, its type is int64"),
        ({"entity_id": ["0"], "vector": [[1.0]]}, "column entity_id must hold integers, .* string"),
        ({"entity_id": [0.0], "vector": [[1.0]]}, "column entity_id must hold integers, .* double"),
        ({"entity": ["e0"], "vector": [1.0]}, r"must hold lists of floats .*its type is double"),
        ({"entity": ["e0"], "vector": [[1]]}, r"must hold lists of floats .*<.*int64>; cast it"),
    ],
)
def test_wrong_columns_are_named(
    columns: dict[str, object], message: str, place: Workspace
) -> None:
    with pytest.raises(DataError, match=message):
        take(place, parquet(place, **columns))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3, [("id", "U2"), ("vector", "f4", 2)]), r"must have a field vector .*has id, v"),
        (np.zeros(3, [("entity", "i8"), ("vector", "f4", 2)]), "entity must hold strings, .*int64"),
        (np.zeros(3, [("entity_id", "f4"), ("vector", "f4", 2)]), "entity_id must hold integers"),
        (np.zeros(3, [("entity_id", "i8", 2), ("vector", "f4", 2)]), r"in the shape \(3, 2\)"),
        (np.zeros(3, [("entity_id", "i8"), ("vector", "f4")]), r"got float32 in the shape \(3,\)"),
        (np.zeros(3, [("entity_id", "i8"), ("vector", "i4", 2)]), "must be floats .*got int32"),
        (np.zeros((3, 2), np.int64), r"must be floats of 16, 32 or 64 bits .*got int64 .*np\.save"),
        (np.zeros((3, 2), np.complex64), "must be floats .*got complex64"),
        (np.zeros((3, 2, 2)), r"shape \(rows, numbers\), got float64 in the shape \(3, 2, 2\)"),
        (np.zeros(()), r"one row per entity of the graph, 3, got the shape \(\)"),
    ],
)
def test_arrays_of_another_form_are_named(
    array: np.ndarray, message: str, place: Workspace
) -> None:
    with pytest.raises(DataError, match=message):
        take(place, npy(place, array))


@pytest.mark.parametrize("num_rows", [2, 4])
def test_a_plain_array_of_another_length_is_refused(num_rows: int, place: Workspace) -> None:
    message = rf"one row per entity of the graph, 3, got the shape \({num_rows}, 5\); say whose"
    with pytest.raises(DataError, match=message):
        take(place, npy(place, np.ones((num_rows, 5))))


@pytest.mark.parametrize("batch_rows", [1, 2, 3])
def test_ragged_vectors_are_refused(
    batch_rows: int, place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precomputed_rows, "BATCH_ROWS", batch_rows)
    vectors = lists([[1.0, 2.0], [3.0, 4.0], [5.0]])
    with pytest.raises(DataError, match=r"vector of row 2 has 1 numbers, that of row 0 has 2"):
        take(place, parquet(place, entity=IN_OTHER_ORDER, vector=vectors))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_numbers_that_are_not_finite_are_refused(value: float, place: Workspace) -> None:
    vectors = VECTORS.astype(np.float64)
    vectors[1, 2] = value
    message = rf"row 1 \(entity e0\) holds {re.escape(str(value))}, it must be finite"
    with pytest.raises(DataError, match=message):
        take(place, npy(place, fields(IN_OTHER_ORDER, vectors)))


def test_a_null_in_a_vector_is_refused(place: Workspace) -> None:
    vectors = pa.array([[1.0, None], [2.0, 3.0], [4.0, 5.0]])
    with pytest.raises(DataError, match=r"row 0 \(entity e2\) holds nan"):
        take(place, parquet(place, entity=IN_OTHER_ORDER, vector=vectors))


@pytest.mark.parametrize(
    ("entity", "vector", "missing"),
    [(["e0", None], [[1.0], [2.0]], "entity"), (["e0", "e1"], [[1.0], None], "vector")],
)
def test_a_row_without_a_value_is_named(
    entity: list[object], vector: list[object], missing: str, place: Workspace
) -> None:
    with pytest.raises(DataError, match=rf"row 1 has no {missing}; leave the row out"):
        take(place, parquet(place, entity=entity, vector=vector))


@pytest.mark.parametrize("entity_id", [-1, 3, 2**62])
@pytest.mark.parametrize("make", ["npy", "parquet"])
def test_an_id_out_of_range_is_named(entity_id: int, make: str, place: Workspace) -> None:
    ids = [0, 1, entity_id]
    by_array = npy(place, fields(ids, VECTORS, "entity_id"))
    by_table = parquet(place, entity_id=ids, vector=lists(VECTORS))
    with pytest.raises(DataError, match=rf"of row 2 must be in \[0, 3\), .*got {entity_id};"):
        take(place, by_array if make == "npy" else by_table)


def test_labels_of_another_graph_are_shown_beside_those_of_this_one(place: Workspace) -> None:
    path = parquet(place, entity=["/m/01", "/m/02", "/m/02"], vector=lists(VECTORS))
    message = r"none of its 2 labels .* it has '/m/01', '/m/02', the graph has 'e0', 'e1', 'e2';"
    with pytest.raises(DataError, match=message):
        take(place, path)


def test_labels_that_are_not_utf8_are_refused(place: Workspace) -> None:
    keys = np.array([b"\xff", b"e0", b"e1"])
    with pytest.raises(DataError, match="not UTF-8"):
        take(place, npy(place, fields(keys, VECTORS)))


@pytest.mark.parametrize("make", ["npy", "parquet"])
def test_a_file_without_rows_is_refused(make: str, place: Workspace) -> None:
    by_array = npy(place, fields(np.zeros(0, "U2"), np.zeros((0, 4), np.float32)))
    by_table = parquet(place, entity=pa.array([], pa.string()), vector=lists([]))
    with pytest.raises(DataError, match=r"has 0 rows .*at least one"):
        take(place, by_array if make == "npy" else by_table)


def test_vectors_without_numbers_are_refused(place: Workspace) -> None:
    path = parquet(place, entity=IN_OTHER_ORDER, vector=lists([[], [], []]))
    with pytest.raises(DataError, match="has 3 rows of 0 numbers"):
        take(place, path)


def test_zeros_alone_are_refused(place: Workspace) -> None:
    with pytest.raises(DataError, match="vectors of all entities of the graph are zero"):
        take(place, npy(place, np.zeros((3, 2))))
