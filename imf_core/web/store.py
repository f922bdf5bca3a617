"""What became of every URL: an index, and the files by their content.

A folder of resumable work outside DVC's outs. A file waits in `incoming` until its row is there,
one row per commit, so that a killed run loses nothing that it had finished. Equal content is kept
once.
"""

import errno
import os
import sqlite3
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from imf_core.artifacts import file_sha256
from imf_core.errors import DataError
from imf_core.web.faults import Fault

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outcomes (
    url TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    fetched_at TEXT NOT NULL,
    sha256 TEXT,
    bytes INTEGER,
    is_final INTEGER NOT NULL,
    terms TEXT NOT NULL,
    run TEXT NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class Stored:
    """The last outcome of a URL.

    Attributes:
        status: "ok", or that of the `Fault`.
        reason: Of the fault, "" where there is none.
        fetched_at: UTC in ISO 8601, to the second.
        path: The content; None unless ok.
        sha256: Of the content; None unless ok.
        is_final: Whether the fault is one that asking again under the same terms will not mend.
        terms: The parameters that the fault depends on.
        is_of_this_run: Whether it came about since the store was opened.
    """

    status: str
    reason: str
    fetched_at: str
    path: Path | None
    sha256: str | None
    is_final: bool
    terms: str
    is_of_this_run: bool


class WebStore:
    """Holds outcomes and files; may be used by several threads. A context manager.

    Attributes:
        answered: Hosts, as `name:port`, that have answered since the store was opened.
    """

    def __init__(self, folder: Path) -> None:
        """Opens the store, making it where there is none.

        Args:
            folder: May be deleted between runs; everything is then fetched anew.

        Raises:
            DataError: If the index is damaged.
        """
        self._folder = folder
        self._run = os.urandom(8).hex()
        self._lock = threading.Lock()
        self._incoming = folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        for stray in self._incoming.glob("*.partial"):  # of a killed run; these do not go on
            stray.unlink()
        self.answered: set[str] = set()
        self._index = sqlite3.connect(
            folder / "index.sqlite", timeout=60.0, isolation_level=None, check_same_thread=False
        )
        try:
            self._execute("PRAGMA journal_mode = WAL")
            self._execute("PRAGMA synchronous = NORMAL")
            self._execute(_SCHEMA)
        except (DataError, OSError):
            self._index.close()
            raise

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the index."""
        self._index.close()

    def get(self, url: str) -> Stored | None:
        """Returns the last outcome of `url`; None before the first, or if its file is gone."""
        rows = self._execute(
            "SELECT status, reason, fetched_at, sha256, bytes, is_final, terms, run "
            "FROM outcomes WHERE url = ?",
            url,
        )
        if not rows:
            return None
        ((status, reason, fetched_at, digest, size, is_final, terms, run),) = rows
        path = None if digest is None else self._blob(digest)
        if path is not None and not (path.is_file() and path.stat().st_size == size):
            return None
        return Stored(
            status, reason, fetched_at, path, digest, bool(is_final), terms, run == self._run
        )

    def incoming(self, url: str) -> Path:
        """Returns where the content of `url` is to be written before it is put in."""
        return self._incoming / sha256(url.encode("utf-8")).hexdigest()

    def put_file(self, url: str, path: Path) -> None:
        """Takes the file at `path`, which `incoming` gave, in as the content of `url`."""
        digest, size = file_sha256(path), path.stat().st_size
        blob = self._blob(digest)
        blob.parent.mkdir(parents=True, exist_ok=True)
        # In this order: after a kill in between the file is found where it came in.
        self._put(url, "ok", "", digest, size, is_final=True, terms="")
        path.replace(blob)

    def put_fault(self, url: str, fault: Fault, terms: str) -> None:
        """Notes why there is no content of `url`, and the parameters that this depends on."""
        self._put(url, fault.status, fault.reason, None, None, fault.is_final, terms)

    def forget(self, url: str) -> None:
        """Drops the outcome of `url`, so that it is asked for again: what came was no answer."""
        self._execute("DELETE FROM outcomes WHERE url = ?", url)

    def _put(
        self,
        url: str,
        status: str,
        reason: str,
        digest: str | None,
        size: int | None,
        is_final: bool,
        terms: str,
    ) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        row = (url, status, reason, now, digest, size, is_final, terms, self._run)
        self._execute("INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", *row)

    def _execute(self, statement: str, *values: object) -> list[Any]:
        """Runs one statement, a commit of its own, and returns its rows.

        Raises:
            OSError: If the disk is full.
            DataError: If the index is damaged.
        """
        try:
            with self._lock:
                return self._index.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise OSError(errno.ENOSPC, "the disk is full", str(self._folder)) from error
            raise DataError(
                f"{self._folder / 'index.sqlite'} cannot be used ({error}); delete the folder "
                f"{self._folder} to fetch anew"
            ) from error

    def _blob(self, digest: str) -> Path:
        return self._folder / "blobs" / digest[:2] / digest
