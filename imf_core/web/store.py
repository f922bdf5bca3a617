"""What became of every URL: an index, and the files by their content.

A folder of resumable work outside DVC's outs. A file waits in `incoming` until its row is there,
one row per commit, so that a killed run loses nothing that it had finished. Equal content is kept
once. Several runs may use the store at once: each has a folder in `incoming`, and takes over what
killed ones left in theirs.

An outcome may be set aside, to be asked for again. It is put back where asking brings nothing, so
that nothing is lost to a network that is down or a host that has a bad day.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from imf_core.artifacts import file_sha256
from imf_core.holds import Hold, held_alone, held_if_free
from imf_core.web.faults import Fault, plain_reason
from imf_core.web.index import COLUMNS, Index

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
        status: "ok", or that of the `Fault`.
        reason: Of the fault, "" where there is none.
        fetched_at: When this outcome first came, UTC in ISO 8601, to the second. To be told the
            same again leaves it.
        path: The content; None unless ok.
        sha256: Of the content; None unless ok.
        is_final: Whether the fault is one that asking again under the same terms will not mend.
        terms: The parameters that the fault depends on.
        is_of_this_run: Whether it came about since the store was opened.
        is_replacement: Whether it is content that came in the place of other content.
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
    """Holds outcomes and files; may be used by several threads. A context manager.

    Attributes:
        answered: Hosts, as `name:port`, that have answered since the store was opened.
        asked_in_vain: Reason -> number of outcomes put back for it since the store was opened.
        errors: Reason -> number of outcomes of status `error` since the store was opened.
    """

    def __init__(self, folder: Path) -> None:
        """Opens the store, making it where there is none.

        Args:
            folder: May be deleted between runs; everything is then fetched anew.

        Raises:
            OSError: If the disk is full.
            DataError: If the index is damaged, in use or cannot be written.
        """
        self._folder = folder
        self._run = os.urandom(8).hex()
        self._incoming = folder / "incoming" / self._run
        self._hold = Hold(self._incoming)
        self._incoming.mkdir()
        self._take_over_leftovers()
        self.answered: set[str] = set()
        self.asked_in_vain: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        index = folder / "index.sqlite"
        with held_alone(index):  # its tables are made and changed once
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
        """Closes the index; a file that came in and has no row waits for the next run."""
        self._index.close()
        self._hold.release()
        with held_if_free(self._incoming) as is_free:
            if is_free:
                with suppress(OSError):  # it is not empty
                    self._incoming.rmdir()

    def get(self, url: str) -> Stored | None:
        """Returns the last outcome of `url`.

        It is None before the first, while it is set aside, or if its file is gone.
        """
        return self._stored(self._index.execute(_READ.format(table="outcomes"), url))

    def earlier(self, url: str) -> Stored | None:
        """Returns the outcome of `url` that was last set aside, None where there is none."""
        return self._stored(self._index.execute(_READ.format(table="earlier"), url))

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
        if fault.status == "error":
            self.errors[fault.reason] += 1

    def put_back(self, url: str, reason: str) -> None:
        """Lets the earlier outcome of `url` hold again, as old as it was.

        Args:
            url: Was set aside.
            reason: Why asking again brought nothing.
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
        """Lines about outcomes that were put back and errors of this program, "" without any."""
        lines = []
        if self.asked_in_vain:
            lines.append(
                f"warning: {self.asked_in_vain.total()} files or answers were asked for again in "
                f"vain, what was known of them before still holds ({_first(self.asked_in_vain)})"
            )
        if self.errors:
            lines.append(
                f"warning: {self.errors.total()} files or answers met an error of this program, "
                f"please report it; the next run asks for them again ({_first(self.errors)})"
            )
        return "\n".join(lines)

    def forget(self, url: str) -> None:
        """Drops the outcome of `url`, so that it is asked for again: what came was no answer."""
        self._index.execute("DELETE FROM outcomes WHERE url = ?", url)

    def set_aside(self, urls: Iterable[str]) -> int:
        """Marks `urls` for refetching and returns how many were known."""
        return sum(self._set_aside("url = ?", url) for url in urls)

    def set_aside_failed(self) -> int:
        """Marks entries that have failed for good for refetching and returns their number.

        Those that have failed for a reason that may pass are refetched in any case.
        """
        return self._set_aside("status != 'ok'")

    def set_aside_older_than(self, before: datetime) -> int:
        """Marks entries older than `before` for refetching and returns their number."""
        oldest_kept = before.astimezone(UTC).strftime(_TIME)
        return self._set_aside("coalesce(asked_at, fetched_at) < ?", oldest_kept)

    def _take_over_leftovers(self) -> None:
        """Moves the whole files of runs that were killed here; half ones do not go on."""
        for folder in self._incoming.parent.glob("*/"):
            with held_if_free(folder) as is_free:
                if not is_free:  # of a run under way, this one for example
                    continue
                for path in folder.glob("*"):
                    if path.suffix != ".partial":
                        path.replace(self._incoming / path.name)
                shutil.rmtree(folder, ignore_errors=True)

    def _set_aside(self, condition: str, *values: object) -> int:
        """Moves outcomes, copying before deleting: a kill in between loses nothing."""
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
        told = (url, status, reason, digest)
        is_same = "WHERE url = ?1 AND status = ?2 AND reason = ?3 AND sha256 IS ?4"
        before = self._index.execute(
            f"SELECT fetched_at FROM outcomes {is_same} "
            f"UNION ALL SELECT fetched_at FROM earlier {is_same}",
            *told,
        )
        since = before[0][0] if before else now
        row = (url, status, reason, since, digest, size, is_final, terms, self._run, now)
        places = ", ".join("?" * len(row))
        self._index.execute(f"INSERT OR REPLACE INTO outcomes ({COLUMNS}) VALUES ({places})", *row)

    def _stored(self, rows: list[Any]) -> Stored | None:
        """Reads a row, if there is one; content that is gone or cut short is none."""
        if not rows:
            return None
        ((status, reason, fetched_at, digest, size, is_final, terms, run, replaced),) = rows
        path = None if digest is None else self._blob(digest)
        if path is not None and not (path.is_file() and path.stat().st_size == size):
            return None
        return Stored(
            status,
            plain_reason(reason),  # that of an earlier release may be anything
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
    """Lists the most common reasons."""
    return ", ".join(f"{why}: {count}" for why, count in reasons.most_common(3))
