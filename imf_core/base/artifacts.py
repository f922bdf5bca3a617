"""Files that stages hand to one another, written whole or not at all, and locks on files.

Every writer uses a temporary name beside the target and renames it, so that a killed process or a
full disk never leaves half a file. Parquet files carry their provenance as metadata without time
stamp, host name or absolute path: unchanged results are byte-identical, and no stage reruns. A lock
is freed by the system when its process ends.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imf_core.base.errors import ConfigError, DataError, ImfError, find_full_disk


class SharedLock:
    """A shared lock on a path: it excludes exclusive locks, but not other shared ones.

    The library filelock has none that fits: its read/write lock leaves an SQLite file beside each
    path, and refuses the other kind of lock in the same process.
    """

    def __init__(self, path: Path) -> None:
        """Locks `path`, which need not exist; waits for an exclusive lock to end."""
        self._path = path
        descriptor = _lock(path, fcntl.LOCK_SH)
        self._close = weakref.finalize(self, os.close, descriptor)

    def release(self) -> None:
        """Releases the lock; may be called again."""
        self._close()

    def remove(self) -> None:
        """Releases the lock; the last owner removes the folder at the path."""
        self.release()
        with try_exclusive_lock(self._path) as is_free:
            if is_free:
                shutil.rmtree(self._path, ignore_errors=True)


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Locks `path` exclusively; waits for all other locks to end."""
    descriptor = _lock(path, fcntl.LOCK_EX)
    try:
        yield
    finally:
        _remove_lock(path, descriptor)


@contextmanager
def try_exclusive_lock(path: Path) -> Iterator[bool]:
    """Locks `path` exclusively unless it is locked.

    Yields:
        Whether it is locked now.
    """
    try:
        descriptor = _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
        return
    try:
        yield True
    finally:
        _remove_lock(path, descriptor)


def _lock(path: Path, operation: int) -> int:
    """Locks the file of a path and returns its descriptor.

    Raises:
        BlockingIOError: If the path is locked and `operation` has LOCK_NB.
    """
    file = _lock_file(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, operation)
            if os.path.samestat(os.fstat(descriptor), file.stat()):
                return descriptor
        except FileNotFoundError:  # deleted since it was opened
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _remove_lock(path: Path, descriptor: int) -> None:
    """Deletes the file before the unlock, so that a waiting process sees an invalid lock."""
    _lock_file(path).unlink(missing_ok=True)
    os.close(descriptor)


def _lock_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


ROWS_AT_ONCE = 10_000
"""Rows of a long Parquet file in memory, and in one of its groups."""

_FULL_BYTES = 1 << 16
"""Free space below which a failed write means a full disk."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` and renames it to `path` on success.

    Args:
        path: Path of the finished file; parent folders are made.

    Yields:
        The path to write to.

    Raises:
        OSError: Error of the writer; for a full disk always with `ENOSPC` and the name of `path`.
            The temporary file is removed and `path` stays unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)  # noqa: PTH105 - replaces atomically on every platform
    except Exception as error:  # torch, safetensors and NumPy have words of their own
        is_unclear = getattr(error, "errno", None) is None and not isinstance(error, ImfError)
        if find_full_disk(error) or (is_unclear and is_full(path.parent)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes `content` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Writes `content` to `path` atomically as UTF-8 with LF line ends."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, value: object) -> None:
    """Writes `value` as indented JSON with the keys in the order given.

    Raises:
        ValueError: If a number is NaN or infinite, which JSON cannot hold.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file; a missing or malformed one is a `DataError` that names it."""
    return _read(path, lambda: json.loads(path.read_text(encoding="utf-8")))


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
    """Writes rows that share their keys as CSV, fractions with four digits.

    Args:
        path: The file.
        rows: Column -> value, in the order of the columns.
        columns: The header where there is no row; it must be given where there may be none.
    """
    rows = list(rows)
    lines = [",".join(rows[0] if rows else columns)]
    for row in rows:
        cells = [f"{x:.4f}" if isinstance(x, float) else _quoted(str(x)) for x in row.values()]
        lines.append(",".join(cells))
    write_text(path, "\n".join(lines) + "\n")


def write_parquet(path: Path, table: pa.Table, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a table as zstd-compressed Parquet with `metadata` in the file's schema."""
    schema_metadata = dict(sorted((metadata or {}).items()))
    table = table.replace_schema_metadata(schema_metadata)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


class RowWriter:
    """Writes rows with at most `ROWS_AT_ONCE` in memory; made by `parquet_rows`."""

    def __init__(self, writer: pq.ParquetWriter, schema: pa.Schema) -> None:
        self._writer = writer
        self._schema = schema
        self._rows: list[tuple[object, ...]] = []

    def append(self, row: tuple[object, ...]) -> None:
        """Adds a row, one value per column."""
        self._rows.append(row)
        if len(self._rows) == ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Writes the rows in memory."""
        self._writer.write_table(rows_to_table(self._rows, self._schema))
        self._rows.clear()


@contextmanager
def parquet_rows(path: Path, schema: pa.Schema, metadata: Mapping[str, str]) -> Iterator[RowWriter]:
    """Yields a writer of a Parquet file by rows; on success the file appears at `path`.

    Args:
        path: Path of the finished file.
        schema: Names and types of the columns.
        metadata: Metadata of the file, as in `write_parquet`.

    Yields:
        The writer of rows.
    """
    schema = schema.with_metadata(dict(sorted(metadata.items())))
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        rows = RowWriter(writer, schema)
        yield rows
        rows.flush()


def rows_to_table(rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    """Turns rows into columns."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def read_parquet(path: Path, columns: Sequence[str] = ()) -> pa.Table:
    """Reads some columns of a Parquet file, or all of them where none is named.

    Args:
        path: The file.
        columns: Names of the columns.

    Raises:
        DataError: If the file is missing or damaged, or lacks one of the columns.
    """
    present = _read(path, lambda: pq.read_schema(path)).names
    missing = [name for name in columns if name not in present]
    if missing:
        raise DataError(
            f"{path} has no column {', '.join(missing)}, so it is not what this stage reads; "
            "delete it and run `dvc repro` to make it again"
        )
    table: pa.Table = _read(path, lambda: pq.read_table(path, columns=list(columns) or None))
    return table


def read_parquet_metadata(path: Path) -> dict[str, str]:
    """Reads the metadata that `write_parquet` stored, without Arrow's own keys."""
    raw = _read(path, lambda: pq.read_schema(path)).metadata or {}
    return {
        key.decode(): value.decode() for key, value in raw.items() if not key.startswith(b"ARROW:")
    }


def count_parquet_rows(path: Path) -> int:
    """Reads only the number of rows of a Parquet file."""
    return int(_read(path, lambda: pq.read_metadata(path)).num_rows)


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's content as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path, reader: Callable[[], Any]) -> Any:
    """Runs `reader`, turning a missing or unreadable file into a `DataError` with a remedy."""
    if not path.exists():
        raise DataError(f"{path} is missing; run `dvc repro` to make it")
    try:
        return reader()
    except (pa.ArrowException, OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); delete it and run `dvc repro` to make it again"
        ) from error


def is_full(folder: Path) -> bool:
    """Returns whether the disk of a folder has no space left."""
    return folder.exists() and shutil.disk_usage(folder).free < _FULL_BYTES


def _quoted(cell: str) -> str:
    """Quotes a cell with a separator; `csv.writer` of Python 3.11 leaves a lone CR unquoted."""
    return '"' + cell.replace('"', '""') + '"' if any(c in cell for c in ',"\n\r') else cell


def make_state_folder(given: str, variable: str) -> Path:
    """Makes the folder for resumable work.

    Args:
        given: Path of the folder.
        variable: Environment variable with the path, for errors.

    Raises:
        ConfigError: If the path is empty or is no writable folder.
    """
    folder = Path(given)
    remedy = f"set {variable} to a folder that can be written, or unset it to use .imf"
    if not given.strip():
        raise ConfigError(f"the environment variable {variable} is empty; {remedy}")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}, the folder for resumable work, is a file; {remedy}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (NotADirectoryError, FileExistsError, PermissionError) as error:
        raise ConfigError(
            f"{folder}, the folder for resumable work, cannot be made ({error.strerror}: "
            f"{error.filename}); {remedy}"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{folder}, the folder for resumable work, cannot be written; {remedy}")
    return folder


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder beside `path` that replaces it on success.

    Success removes all earlier content, possibly of another data set; an error or a kill keeps it.
    Another process that fills the same folder waits.

    Args:
        path: Path of the finished folder.

    Yields:
        The folder to fill.
    """
    temporary, earlier = (path.with_name(f".{path.name}.{name}") for name in ("tmp", "old"))
    with exclusive_lock(path):
        if earlier.exists() and not path.exists():  # killed between the two renames below
            earlier.rename(path)
        _remove(temporary, earlier)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            if path.exists():
                path.rename(earlier)
            temporary.rename(path)
        finally:
            if earlier.exists() and not path.exists():  # interrupted, or the second rename failed
                earlier.rename(path)
            _remove(temporary, earlier)


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
