"""Files are written atomically, with the same bytes each time."""

import csv
import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

from imf_core.base.artifacts import (
    ROWS_AT_ONCE,
    atomic_path,
    count_parquet_rows,
    file_sha256,
    parquet_rows,
    read_json,
    read_parquet,
    read_parquet_metadata,
    write_csv,
    write_json,
    write_parquet,
    write_text,
)
from imf_core.base.errors import DataError


@pytest.fixture
def table() -> pa.Table:
    return pa.table({"entity_id": list(range(100)), "label": [f"e{i}" for i in range(100)]})


class DiskFullError(OSError):
    pass


def fail_to_write(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half of the new cont")
        raise DiskFullError


def test_a_failed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(DiskFullError):
        fail_to_write(path)
    assert path.read_text() == "old"


def test_a_failed_writer_leaves_nothing_beside_the_file(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError):
        fail_to_write(tmp_path / "file.txt")
    assert list(tmp_path.iterdir()) == []


def test_a_finished_file_stands_alone_in_its_folder(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "folder" / "file.txt", "text")
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["file.txt"]


def test_text_is_written_as_utf8_with_its_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "file.txt", "ç\n∑\n")
    assert (tmp_path / "file.txt").read_bytes() == "ç\n∑\n".encode()


def test_json_is_read_back_with_its_keys_in_order(tmp_path: Path) -> None:
    value = {"z": [1, 2.5], "a": {"ç": None}}
    write_json(tmp_path / "file.json", value)
    assert list(read_json(tmp_path / "file.json").items()) == list(value.items())


def test_json_with_a_number_that_is_not_finite_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_a_table_is_read_back_with_its_metadata(tmp_path: Path, table: pa.Table) -> None:
    path = tmp_path / "file.parquet"
    write_parquet(path, table, {"model": "ç", "dim": "3"})
    assert read_parquet(path).to_pydict() == table.to_pydict()
    assert read_parquet_metadata(path) == {"dim": "3", "model": "ç"}


def test_a_table_is_written_with_the_same_bytes_each_time(tmp_path: Path, table: pa.Table) -> None:
    write_parquet(tmp_path / "one.parquet", table, {"a": "1", "b": "2"})
    write_parquet(tmp_path / "two.parquet", table, {"b": "2", "a": "1"})
    assert file_sha256(tmp_path / "one.parquet") == file_sha256(tmp_path / "two.parquet")


def test_metadata_of_the_table_in_memory_does_not_reach_the_file(
    tmp_path: Path, table: pa.Table
) -> None:
    write_parquet(tmp_path / "file.parquet", table.replace_schema_metadata({"written": "today"}))
    assert read_parquet_metadata(tmp_path / "file.parquet") == {}


def test_the_hash_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    expected = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert file_sha256(tmp_path / "empty") == expected


@pytest.mark.parametrize("reader", [read_json, read_parquet, read_parquet_metadata])
def test_a_missing_file_is_named_with_a_remedy(reader: object, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.file is missing; run `dvc repro`"):
        reader(tmp_path / "absent.file")


@pytest.mark.parametrize("reader", [read_json, read_parquet, read_parquet_metadata])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe nonsense", b"PAR1PAR1"])
def test_a_damaged_file_is_named_with_a_remedy(
    reader: object, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match=r"file cannot be read .* delete it and run `dvc repro`"):
        reader(tmp_path / "file")


def test_a_table_without_an_expected_column_is_named(tmp_path: Path, table: pa.Table) -> None:
    path = tmp_path / "file.parquet"
    write_parquet(path, table)
    with pytest.raises(DataError, match=r"file\.parquet has no column name, vector, .*dvc repro"):
        read_parquet(path, ["name", "label", "vector"])


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_truncated_table_is_a_damaged_file(kept: float, tmp_path: Path, table: pa.Table) -> None:
    path = tmp_path / "file.parquet"
    write_parquet(path, table)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match=r"file\.parquet cannot be read"):
        read_parquet(path)


@pytest.mark.parametrize("cell", ["a,b", 'say "x"', "two\nlines", "two\rlines", "plain", ""])
def test_a_cell_is_read_back_from_csv_as_it_was(cell: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "table.csv", [{"label": cell, "queries": 3}])
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["label", "queries"], [cell, "3"]]


def test_fractions_have_four_digits_in_csv(tmp_path: Path) -> None:
    write_csv(tmp_path / "table.csv", [{"mrr": 1 / 3, "queries": 2}])
    assert (tmp_path / "table.csv").read_text() == "mrr,queries\n0.3333,2\n"


def test_a_long_table_is_written_row_by_row(tmp_path: Path) -> None:
    path, schema = tmp_path / "long.parquet", pa.schema([("a", pa.int64()), ("b", pa.string())])
    written = [(number, None if number % 3 else str(number)) for number in range(ROWS_AT_ONCE + 5)]
    with parquet_rows(path, schema, {"graph": "g"}) as rows:
        for row in written:
            rows.append(row)
    table = read_parquet(path)
    assert list(zip(*(column.to_pylist() for column in table.columns), strict=True)) == written
    assert read_parquet_metadata(path) == {"graph": "g"}
    assert count_parquet_rows(path) == ROWS_AT_ONCE + 5


def test_a_long_table_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    with parquet_rows(tmp_path / "a.parquet", pa.schema([("a", pa.int64())]), {}):
        pass
    assert read_parquet(tmp_path / "a.parquet", ["a"]).num_rows == 0


def test_a_long_table_that_fails_in_between_leaves_the_old_file(tmp_path: Path) -> None:
    path, schema = tmp_path / "a.parquet", pa.schema([("a", pa.int64())])
    path.write_bytes(b"old")

    def fail() -> None:
        with parquet_rows(path, schema, {}) as rows:
            rows.append((1,))
            raise DiskFullError

    with pytest.raises(DiskFullError):
        fail()
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.parquet"]


def save_array(path: Path) -> None:
    raise OSError("100 requested and 0 written")  # as NumPy words it


def save_tensors(path: Path) -> None:
    raise RuntimeError("Error while serializing: No space left on device (os error 28)")


@pytest.mark.parametrize("write", [save_array, save_tensors])
def test_a_full_disk_is_one_error_whatever_the_writer_makes_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    path = tmp_path / "array.npy"
    with pytest.raises(OSError, match="No space left") as caught, atomic_path(path) as temporary:
        write(temporary)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))


@pytest.mark.parametrize(
    "error", [RuntimeError("odd"), PermissionError(errno.EACCES, "denied"), DataError("bad line")]
)
def test_another_error_stays_as_it_is(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, atomic_path(tmp_path / "file"):
        raise error
    assert caught.value is error


def test_a_full_disk_at_a_device_is_found(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="No space left") as caught,
        atomic_path(tmp_path / "file"),
        Path("/dev/full").open("w") as full,
    ):
        full.write("x" * 100_000)
    assert caught.value.errno == errno.ENOSPC


def test_only_the_named_columns_of_a_parquet_file_are_read(tmp_path: Path, table: pa.Table) -> None:
    path = tmp_path / "table.parquet"
    write_parquet(path, table)
    assert read_parquet(path, ["label"]).column_names == ["label"]
    assert read_parquet(path).column_names == ["entity_id", "label"]
