"""The outcome of every URL in SQLite, and the fetched files under the hash of their content.

The store is resumable work outside DVC's outs. A file waits in `incoming` until its row is
committed, so a killed run loses nothing. Several runs may share the store: each has a folder in
`incoming` and adopts those of killed runs. Table `outcomes` has the last outcome of every URL,
`earlier` the outcome before a refetch, which is restored if the refetch fails.
"""

import errno
import os
import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from imf_core.base.artifacts import (
    SharedLock,
    exclusive_lock,
    file_sha256,
    is_full,
    try_exclusive_lock,
)
from imf_core.base.errors import DataError
from imf_core.web.responses import Failure, plain_reason

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


_READ = (
    "SELECT known.status, known.reason, known.fetched_at, known.sha256, known.bytes, "
    "known.is_final, known.terms, known.run, earlier.sha256 "
    "FROM {table} AS known LEFT JOIN earlier USING (url) WHERE url = ?"
)
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Stored:
    """The last outcome of a URL.

    Attributes:
        status: "ok", or the status of the `Failure`.
        reason: Reason of the failure, "" if there is none.
        fetched_at: Time of the first such outcome, UTC in ISO 8601, to the second. An equal outcome
            of a refetch keeps it.
        path: File with the content; None unless ok.
        sha256: Hash of the content; None unless ok.
        is_final: Whether another request under the same terms would fail too.
        terms: The parameters that the failure depends on.
        is_of_this_run: Whether it was stored since the store was opened.
        is_replacement: Whether it is content that replaced other content.
    """

    status: str
    reason: str
    fetched_at: str
    path: Path | None
    sha256: str | None
    is_final: bool
    terms: str
    is_of_this_run: bool
    is_replacement: bool


class WebStore:
    """Outcomes and files, for use by several threads. A context manager.

    Attributes:
        answered: Hosts, as `name:port`, that have answered since the store was opened.
        asked_in_vain: Reason -> number of outcomes put back for it since then.
        errors: Reason -> number of outcomes of status `error` since then.
    """

    def __init__(self, folder: Path) -> None:
        """Opens or creates the store.

        Args:
            folder: Its folder. It may be deleted between runs; everything is then fetched again.

        Raises:
            OSError: If the disk is full.
            DataError: If the index is damaged, in use or cannot be written.
        """
        self._folder = folder
        self._run = os.urandom(8).hex()
        self._incoming = folder / "incoming" / self._run
        self._shared_lock = SharedLock(self._incoming)
        self._incoming.mkdir()
        self._take_over_leftovers()
        self.answered: set[str] = set()
        self.asked_in_vain: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        index = folder / "index.sqlite"
        with exclusive_lock(index):  # one process creates and migrates the tables
            self._index = Index(index)

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the index; a fetched file without a row waits for the next run."""
        self._index.close()
        self._shared_lock.release()
        with try_exclusive_lock(self._incoming) as is_free:
            if is_free:
                with suppress(OSError):  # it is not empty
                    self._incoming.rmdir()

    def get(self, url: str) -> Stored | None:
        """Returns the last outcome of `url`.

        It is None before the first outcome, while it is set aside, or if its file is gone.
        """
        return self._stored(self._index.execute(_READ.format(table="outcomes"), url))

    def earlier(self, url: str) -> Stored | None:
        """Returns the outcome of `url` that was last set aside, None if there is none."""
        return self._stored(self._index.execute(_READ.format(table="earlier"), url))

    def incoming(self, url: str) -> Path:
        """Returns the path for the content of `url` before `put_file`."""
        return self._incoming / sha256(url.encode("utf-8")).hexdigest()

    def put_file(self, url: str, path: Path) -> None:
        """Stores the file at `path`, as returned by `incoming`, as the content of `url`."""
        digest, size = file_sha256(path), path.stat().st_size
        blob = self._blob(digest)
        blob.parent.mkdir(parents=True, exist_ok=True)
        # In this order: after a kill in between, the file is found in `incoming`.
        self._put(url, "ok", "", digest, size, is_final=True, terms="")
        path.replace(blob)

    def put_failure(self, url: str, failure: Failure, terms: str) -> None:
        """Stores a failure of `url` and the parameters that it depends on."""
        self._put(url, failure.status, failure.reason, None, None, failure.is_final, terms)
        if failure.status == "error":
            self.errors[failure.reason] += 1

    def put_back(self, url: str, reason: str) -> None:
        """Restores the outcome of `url` that was set aside, with its time.

        Args:
            url: A URL that was set aside.
            reason: Reason why the refetch failed.
        """
        columns = COLUMNS.replace("run", "?")
        self._index.execute(
            f"INSERT OR REPLACE INTO outcomes SELECT {columns} FROM earlier WHERE url = ?",
            self._run,
            url,
        )
        self.asked_in_vain[reason] += 1

    @property
    def warning(self) -> str:
        """Lines about outcomes put back and errors of this program, "" if there are none."""
        lines = []
        if self.asked_in_vain:
            lines.append(
                f"warning: {self.asked_in_vain.total()} files or answers were requested again "
                f"without success; their earlier content is kept ({_first(self.asked_in_vain)})"
            )
        if self.errors:
            lines.append(
                f"warning: {self.errors.total()} files or answers met an error of this program, "
                f"please report it; the next run requests them again ({_first(self.errors)})"
            )
        return "\n".join(lines)

    def forget(self, url: str) -> None:
        """Removes the outcome of `url`, so that it is fetched again."""
        self._index.execute("DELETE FROM outcomes WHERE url = ?", url)

    def set_aside(self, urls: Iterable[str]) -> int:
        """Marks `urls` for refetching and returns the number of marked entries."""
        return sum(self._set_aside("url = ?", url) for url in urls)

    def set_aside_failed(self) -> int:
        """Marks entries with a final failure for refetching and returns their number.

        Entries with a temporary failure are refetched in any case.
        """
        return self._set_aside("status != 'ok'")

    def set_aside_older_than(self, before: datetime) -> int:
        """Marks entries older than `before` for refetching and returns their number."""
        oldest_kept = before.astimezone(UTC).strftime(_TIME)
        return self._set_aside("coalesce(asked_at, fetched_at) < ?", oldest_kept)

    def _take_over_leftovers(self) -> None:
        """Moves complete files of killed runs here; partial ones are deleted."""
        for folder in self._incoming.parent.glob("*/"):
            with try_exclusive_lock(folder) as is_free:
                if not is_free:  # in use by a run, possibly this one
                    continue
                for path in folder.glob("*"):
                    if path.suffix != ".partial":
                        path.replace(self._incoming / path.name)
                shutil.rmtree(folder, ignore_errors=True)

    def _set_aside(self, condition: str, *values: object) -> int:
        """Moves outcomes: copies, then deletes, so a kill in between loses nothing."""
        some = f"FROM outcomes WHERE is_final AND {condition}"
        ((count,),) = self._index.execute(f"SELECT count(*) {some}", *values)
        self._index.execute(f"INSERT OR REPLACE INTO earlier SELECT {COLUMNS} {some}", *values)
        self._index.execute(f"DELETE {some}", *values)
        return int(count)

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
        now = datetime.now(UTC).strftime(_TIME)
        same = (url, status, reason, digest)
        is_same = "WHERE url = ?1 AND status = ?2 AND reason = ?3 AND sha256 IS ?4"
        before = self._index.execute(
            f"SELECT fetched_at FROM outcomes {is_same} "
            f"UNION ALL SELECT fetched_at FROM earlier {is_same}",
            *same,
        )
        since = before[0][0] if before else now
        row = (url, status, reason, since, digest, size, is_final, terms, self._run, now)
        places = ", ".join("?" * len(row))
        self._index.execute(f"INSERT OR REPLACE INTO outcomes ({COLUMNS}) VALUES ({places})", *row)

    def _stored(self, rows: list[Any]) -> Stored | None:
        """Reads a row; None without a row, or if its content is missing or incomplete."""
        if not rows:
            return None
        ((status, reason, fetched_at, digest, size, is_final, terms, run, replaced),) = rows
        path = None if digest is None else self._blob(digest)
        if path is not None and not (path.is_file() and path.stat().st_size == size):
            return None
        return Stored(
            status,
            plain_reason(reason),  # an earlier release stored any text
            fetched_at,
            path,
            digest,
            bool(is_final),
            terms,
            is_of_this_run=run == self._run,
            is_replacement=None not in (digest, replaced) and digest != replaced,
        )

    def _blob(self, digest: str) -> Path:
        return self._folder / "blobs" / digest[:2] / digest


def _first(reasons: Counter[str]) -> str:
    return ", ".join(f"{why}: {count}" for why, count in reasons.most_common(3))
