"""Reads a file of ready features in batches: entities and vectors.

It reads two formats. Parquet, streamed: a column `entity` (label) or `entity_id` (position in the
graph's entities), and a column `vector`, a list of floats. NumPy's `.npy`, memory-mapped: a
structured array with the same two fields, or a plain array with one row per entity id. Pickles are
never loaded, since they can run code.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imf_core.base.errors import ConfigError, DataError
from imf_core.features.shared.precomputed_advice import conversion, plain_floats, reshaping

LABEL, ID, VECTOR = "entity", "entity_id", "vector"
SUFFIXES = (".parquet", ".npy")
BATCH_ROWS = 1024
FLOAT_BYTES = {2, 4, 8}
_NPY_MAGIC = b"\x93NUMPY"


@dataclass(frozen=True)
class Rows:
    """Consecutive rows of the file.

    Attributes:
        first: Position of the first row in the file.
        entities: Labels, or ids with shape: (n,), any integer dtype.
        vectors: shape: (n, F), dtype: float16, float32 or float64.
    """

    first: int
    entities: list[str] | np.ndarray
    vectors: np.ndarray


def read_rows(path: Path, num_entities: int) -> Iterator[Rows]:
    """Reads a file in batches.

    Args:
        path: A `.parquet` or `.npy` file.
        num_entities: E; a plain array must have as many rows.

    Yields:
        At most `BATCH_ROWS` rows at a time, all vectors of one length.

    Raises:
        ConfigError: If the file has another suffix.
        DataError: If the file is damaged, a pickle, or has other columns.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(
            f"precomputed.path in params.yaml must end in {' or '.join(SUFFIXES)}, got {path}; "
            f"{conversion(path)}"
        )
    yield from _parquet_rows(path) if suffix == ".parquet" else _npy_rows(path, num_entities)


def _parquet_rows(path: Path) -> Iterator[Rows]:
    first = dim = 0
    try:
        with pq.ParquetFile(path) as file:
            key = _key_column(file.schema_arrow, path)
            for batch in file.iter_batches(BATCH_ROWS, columns=[key, VECTOR]):
                entities, vectors = batch.column(key), batch.column(VECTOR)
                _require_no_null(key, entities, first, path)
                _require_no_null(VECTOR, vectors, first, path)
                lengths = np.asarray(pc.list_value_length(vectors))
                if first == 0:
                    dim = int(lengths[0])
                if (lengths != dim).any():
                    row = int((lengths != dim).argmax())
                    raise DataError(
                        f"{path}: the vector of row {first + row} has {lengths[row]} numbers, "
                        f"that of row 0 has {dim}; all must have the same length"
                    )
                flat = vectors.flatten().to_numpy(zero_copy_only=False)
                keys = (
                    entities.cast(pa.string()).to_pylist() if key == LABEL else entities.to_numpy()
                )
                yield Rows(first, keys, flat.reshape(len(batch), dim))
                first += len(batch)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read as Parquet ({error}); fetch or make it again"
        ) from error


def _key_column(schema: pa.Schema, path: Path) -> str:
    """Returns the column of labels or ids, after checking both columns and their types."""
    key = _key(schema.names, path, "column")
    kind = schema.field(key).type
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    is_label = pa.types.is_string(plain) or pa.types.is_large_string(plain)
    if not (is_label if key == LABEL else pa.types.is_integer(kind)):
        wanted = "strings" if key == LABEL else "integers"
        raise DataError(f"{path}: the column {key} must hold {wanted}, its type is {kind}")
    kind = schema.field(VECTOR).type
    is_list = any(
        check(kind)
        for check in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    )
    if not is_list or not pa.types.is_floating(kind.value_type):
        raise DataError(
            f"{path}: the column {VECTOR} must hold lists of floats (16, 32 or 64 bits), its type "
            f"is {kind}; cast it and write the file again"
        )
    return key


def _require_no_null(name: str, column: pa.Array, first: int, path: Path) -> None:
    """Raises a `DataError` that names the first row without a value."""
    if column.null_count:
        row = first + int(np.asarray(column.is_null()).argmax())
        raise DataError(f"{path}: row {row} has no {name}; leave the row out or fill it in")


def _npy_rows(path: Path, num_entities: int) -> Iterator[Rows]:
    """Reads a memory-mapped array."""
    array = _open_npy(path)
    if array.dtype.names is None:
        _require_one_row_per_entity(array, num_entities, path)
        vectors, key = array, None
    else:
        key = _key(list(array.dtype.names), path, "field")
        kinds, wanted = ("US", "strings") if key == LABEL else ("iu", "integers")
        if array.ndim != 1 or array[key].ndim != 1 or array[key].dtype.kind not in kinds:
            raise DataError(
                f"{path}: the field {key} must hold {wanted}, one in each row, its type is "
                f"{array[key].dtype} in the shape {array[key].shape}"
            )
        vectors = array[VECTOR]
    is_float = vectors.dtype.kind == "f" and vectors.dtype.itemsize in FLOAT_BYTES
    if not is_float or vectors.ndim != 2:
        if key is not None:
            remedy = "make the array again, with np.dtype([('entity', 'U99'), ('vector', 'f4', N)])"
        elif is_float:
            remedy = reshaping(vectors.shape, num_entities, path)
        else:
            remedy = f"convert them: {plain_floats(path, vectors.shape, vectors.dtype)}"
        raise DataError(
            f"{path}: vectors must be floats of 16, 32 or 64 bits in the shape (rows, numbers), "
            f"got {vectors.dtype} in the shape {vectors.shape}; {remedy}"
        )
    for first in range(0, len(vectors), BATCH_ROWS):
        part = slice(first, first + BATCH_ROWS)
        batch = np.array(vectors[part])
        if key is None:
            yield Rows(first, np.arange(first, first + len(batch)), batch)
        elif key == LABEL:
            yield Rows(first, _labels(array[key][part], first, path), batch)
        else:
            yield Rows(first, np.array(array[key][part]), batch)


def _open_npy(path: Path) -> np.ndarray:
    """Memory-maps the array of a `.npy` file; refuses pickles."""
    with path.open("rb") as file:
        magic = file.read(len(_NPY_MAGIC))
    if magic != _NPY_MAGIC:
        raise DataError(
            f"{path} is no .npy file: pickles and archives are not loaded, whatever their name; "
            f"{conversion(path)}"
        )
    try:
        array: np.ndarray = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, SyntaxError, TypeError, RecursionError, OverflowError) as error:
        remedy = "fetch or make it again"
        if "Python objects" in str(error):
            remedy = (
                "objects are pickled in a .npy file and not loaded; save plain numbers: "
                f"{plain_floats(path, _object_shape(path), np.dtype(object))}"
            )
        raise DataError(f"{path} cannot be read ({error}); {remedy}") from error
    return array


def _object_shape(path: Path) -> tuple[int, ...]:
    """Reads the shape of an array of objects without unpickling."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape: tuple[int, ...] = np.lib.format.read_array_header_1_0(file)[0]
    return shape


def _require_one_row_per_entity(array: np.ndarray, num_entities: int, path: Path) -> None:
    """Raises a `DataError` unless an array without ids has one row per entity."""
    if array.ndim > 0 and len(array) == num_entities:
        return
    raise DataError(
        f"{path}: an array without ids must have one row per entity of the graph, {num_entities}, "
        f"got the shape {array.shape}; {reshaping(array.shape, num_entities, path)}"
    )


def _key(names: list[str], path: Path, part: str) -> str:
    """Returns the name of the column or field of labels or ids."""
    twice = [name for name in (LABEL, ID, VECTOR) if names.count(name) > 1]
    if twice:
        raise DataError(
            f"{path} has the {part} {twice[0]} {names.count(twice[0])} times; keep one of them and "
            "write the file again"
        )
    keys = [name for name in (LABEL, ID) if name in names]
    if len(keys) != 1 or VECTOR not in names:
        raise DataError(
            f"{path} must have a {part} {VECTOR} and one of {LABEL} (label) and {ID} (position in "
            f"the graph's entities); it has {', '.join(names)}"
        )
    return keys[0]


def _labels(labels: np.ndarray, first: int, path: Path) -> list[str]:
    """Returns labels as strings; bytes are read as UTF-8."""
    if labels.dtype.kind == "U":
        found: list[str] = labels.tolist()
        return found
    try:
        return [label.decode("utf-8") for label in labels.tolist()]
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: a label among the rows from {first} is not UTF-8 ({error}); save labels as "
            "strings"
        ) from error
