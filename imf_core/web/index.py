"""The tables under the web store: SQLite, every statement a commit of its own.

`outcomes` has the last outcome of every URL, `earlier` what an outcome was when it was set aside to
be asked for again: both have the same columns. An index of an earlier release is brought up to
date when it is opened.
"""

import errno
import sqlite3
import threading
from pathlib import Path
from typing import Any

from imf_core.errors import DataError

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
        """Opens it, making it where there is none.

        Raises:
            DataError: If it is damaged.
        """
        self._path = path
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            path, timeout=60.0, isolation_level=None, check_same_thread=False
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
            OSError: If the disk is full.
            DataError: If the database is damaged.
        """
        try:
            with self._lock:
                return self._connection.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            folder = self._path.parent
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise OSError(errno.ENOSPC, "the disk is full", str(folder)) from error
            raise DataError(
                f"{self._path} cannot be used ({error}); delete the folder {folder} to fetch anew"
            ) from error

    def close(self) -> None:
        """Lets the file go."""
        self._connection.close()
