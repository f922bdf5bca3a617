"""The tables of the web store, in SQLite; every statement is one commit.

`outcomes` has the last outcome of every URL, `earlier` the outcomes that were set aside for
refetching; both have the same columns. Opening an index of an earlier release migrates it.
"""

import errno
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imf_core.artifacts import is_full
from imf_core.errors import DataError

LOCK_SECONDS = 300.0
"""How long a statement waits for the statement of another run."""

COLUMNS = "url, status, reason, fetched_at, sha256, bytes, is_final, terms, run, asked_at"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS {name} (
    url TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    fetched_at TEXT NOT NULL,
    sha256 TEXT,
    bytes INTEGER,
    is_final INTEGER NOT NULL,
    terms TEXT NOT NULL,
    run TEXT NOT NULL,
    asked_at TEXT
) WITHOUT ROWID
"""


class Index:
    """A database in one file; may be used by several threads."""

    def __init__(self, path: Path) -> None:
        """Opens or creates the database.

        Raises:
            OSError: If the disk is full or fails.
            DataError: If it is damaged, in use or cannot be written.
        """
        self._path = path
        self._lock = threading.Lock()
        with self._explained():
            self._connection = sqlite3.connect(
                path, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            self.execute("PRAGMA journal_mode = WAL")
            self.execute("PRAGMA synchronous = NORMAL")
            self.execute(_SCHEMA.format(name="outcomes"))
            self.execute(_SCHEMA.format(name="earlier"))
            if not self.execute(
                "SELECT 1 FROM pragma_table_info('outcomes') WHERE name='asked_at'"
            ):
                self.execute("ALTER TABLE outcomes ADD COLUMN asked_at TEXT")
        except (DataError, OSError):
            self.close()
            raise

    def execute(self, statement: str, *values: object) -> list[Any]:
        """Runs one statement and returns its rows.

        Raises:
            OSError: If the disk is full or fails.
            DataError: If the database is damaged, in use or cannot be written.
        """
        with self._lock, self._explained():
            return self._connection.execute(statement, values).fetchall()

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns an error of SQLite into an error with a remedy; other errors pass."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", None)
            if code is None:
                raise
            kind, folder = code & 0xFF, self._path.parent  # the other bits are details
            # A full disk is also a failed write (SQLITE_IOERR) where SQLite maps a file to memory.
            if kind == sqlite3.SQLITE_FULL or (kind == sqlite3.SQLITE_IOERR and is_full(folder)):
                raise OSError(errno.ENOSPC, f"the disk is full ({error})", str(folder)) from error
            if kind == sqlite3.SQLITE_IOERR:
                raise OSError(errno.EIO, f"the disk fails: {error}", str(folder)) from error
            if kind in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                remedy = f"delete the folder {folder} to fetch everything again"
            elif kind in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                remedy = "another run has been using it for minutes; run again when that has ended"
            else:
                remedy = (
                    f"make {folder} a folder that can be written, or set IMF_STATE to another one"
                )
            raise DataError(f"{self._path} cannot be used ({error}); {remedy}") from error
