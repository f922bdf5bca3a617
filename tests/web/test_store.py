import errno
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import imf_core.web.store as store_module
from imf_core.base.errors import DataError
from imf_core.web.responses import Failure
from imf_core.web.store import WebStore

URL = "http://example.org/a"


def put(store: WebStore, url: str, content: bytes) -> None:
    path = store.incoming(url)
    path.write_bytes(content)
    store.put_file(url, path)


def test_a_url_that_was_never_asked_for_has_no_outcome(tmp_path: Path) -> None:
    with WebStore(tmp_path) as store:
        assert store.get(URL) is None


def test_a_file_is_found_again_by_the_next_run(tmp_path: Path) -> None:
    with WebStore(tmp_path) as store:
        put(store, URL, b"bytes")
        first = store.get(URL)
    with WebStore(tmp_path) as store:
        again = store.get(URL)
    assert first is not None
    assert again is not None
    assert again.path is not None
    assert again.path.read_bytes() == b"bytes"
    assert (again.status, again.reason, again.sha256) == ("ok", "", again.path.name)
    assert again.fetched_at == first.fetched_at
    assert again.fetched_at.endswith("Z")
    assert (first.is_of_this_run, again.is_of_this_run) == (True, False)


def test_what_is_forgotten_was_never_asked_for(tmp_path: Path) -> None:
    with WebStore(tmp_path) as store:
        put(store, URL, b"sorry, later")
        put(store, f"{URL}b", b"bytes")
        store.forget(URL)
        store.forget("http://example.org/unknown")
        assert store.get(URL) is None
        assert store.get(f"{URL}b") is not None


def test_equal_content_is_kept_once(tmp_path: Path) -> None:
    with WebStore(tmp_path) as store:
        for number in range(3):
            put(store, f"{URL}{number}", b"bytes")
    assert len([path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]) == 1
    assert list((tmp_path / "incoming").iterdir()) == []


def test_half_files_of_a_killed_run_are_removed_and_whole_ones_stay(tmp_path: Path) -> None:
    with WebStore(tmp_path) as store:
        whole = store.incoming(URL)
        whole.write_bytes(b"bytes")
        whole.with_name(f"{whole.name}.partial").write_bytes(b"byt")
    with WebStore(tmp_path) as store:
        mine = store.incoming(URL)
        assert mine.read_bytes() == b"bytes"
        assert list((tmp_path / "incoming").glob("*/*")) == [mine]


def test_runs_at_the_same_time_leave_each_others_half_files_alone(tmp_path: Path) -> None:
    with WebStore(tmp_path) as first, WebStore(tmp_path) as second:
        partial = first.incoming(URL).with_name("half.partial")
        partial.write_bytes(b"byt")
        with WebStore(tmp_path):
            assert partial.read_bytes() == b"byt"
        assert first.incoming(URL) != second.incoming(URL)


def test_runs_at_the_same_time_may_fetch_the_same_url(tmp_path: Path) -> None:
    with WebStore(tmp_path) as first, WebStore(tmp_path) as second:
        first.incoming(URL).write_bytes(b"bytes")
        put(second, URL, b"others")
        first.put_file(URL, first.incoming(URL))
        stored = second.get(URL)
    assert stored is not None
    assert stored.path is not None
    assert stored.path.read_bytes() == b"bytes"


@pytest.mark.slow
def test_runs_may_open_a_new_store_at_the_same_time(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from imf_core.web.store import WebStore\n"
    code += "with WebStore(Path(sys.argv[1])): pass"
    runs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(6)]
    assert [run.wait() for run in runs] == [0] * 6
    assert list((tmp_path / "incoming").iterdir()) == []


def test_a_fault_is_kept_with_its_terms_and_gives_way_to_a_file(tmp_path: Path) -> None:
    with WebStore(tmp_path) as store:
        store.put_failure(URL, Failure("too_many_bytes", "more than 5 bytes", True), "5")
        failure = store.get(URL)
        put(store, URL, b"bytes")
        mended = store.get(URL)
    assert failure is not None
    assert (failure.status, failure.reason) == ("too_many_bytes", "more than 5 bytes")
    assert (failure.is_final, failure.terms, failure.path) == (True, "5", None)
    assert mended is not None
    assert mended.status == "ok"


@pytest.mark.parametrize("content", [None, b"byt"])
def test_a_file_that_is_gone_or_cut_short_has_no_outcome(
    tmp_path: Path, content: bytes | None
) -> None:
    with WebStore(tmp_path) as store:
        put(store, URL, b"bytes")
        stored = store.get(URL)
        assert stored is not None
        assert stored.path is not None
        stored.path.unlink()
        if content is not None:
            stored.path.write_bytes(content)
        assert store.get(URL) is None


def test_a_damaged_index_is_an_error_that_says_what_to_delete(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(DataError, match=r"delete the folder .* to fetch everything again"):
        WebStore(tmp_path)


def test_a_full_disk_under_the_index_is_told_as_one(tmp_path: Path) -> None:
    with WebStore(tmp_path) as store:
        store._index.execute("PRAGMA max_page_count = 1")  # no page beyond those there are
        failure = Failure("unreachable", "no connection", is_final=False)
        url = URL + "x" * 100_000
        with pytest.raises(OSError, match="the disk is full") as caught:
            store.put_failure(url, failure, "")
        assert caught.value.errno == errno.ENOSPC
        assert store.get(url) is None


class Broken:
    """A connection whose every statement fails."""

    def __init__(self, code: int, words: str) -> None:
        self.error = sqlite3.OperationalError(words)
        self.error.sqlite_errorcode = code

    def execute(self, *_: object) -> None:
        raise self.error

    def close(self) -> None:
        pass


def failing(store: WebStore, code: int, words: str) -> None:
    store._index.close()
    store._index._connection = Broken(code, words)  # type: ignore[assignment]


IO_ERRORS = [sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE]


@pytest.mark.parametrize("code", IO_ERRORS)
@pytest.mark.parametrize(
    ("is_full", "number", "words"),
    [(True, errno.ENOSPC, "the disk is full"), (False, errno.EIO, "the disk fails: disk I/O")],
)
def test_an_error_of_input_or_output_is_a_full_disk_where_no_space_is_free(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    is_full: bool,
    number: int,
    words: str,
) -> None:
    monkeypatch.setattr(store_module, "is_full", lambda _: is_full)
    with WebStore(tmp_path) as store:
        failing(store, code, "disk I/O error")
        with pytest.raises(OSError, match=words) as caught:
            store.get(URL)
    assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path))


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (sqlite3.SQLITE_CORRUPT, "delete the folder"),
        (sqlite3.SQLITE_NOTADB, "delete the folder"),
        (sqlite3.SQLITE_CORRUPT_INDEX, "delete the folder"),
        (sqlite3.SQLITE_BUSY, "run again when that has ended"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "run again when that has ended"),
        (sqlite3.SQLITE_LOCKED, "run again when that has ended"),
        (sqlite3.SQLITE_READONLY, "can be written, or set IMF_STATE"),
        (sqlite3.SQLITE_CANTOPEN, "can be written, or set IMF_STATE"),
    ],
)
def test_what_is_known_is_given_up_for_a_damaged_index_alone(
    tmp_path: Path, code: int, remedy: str
) -> None:
    with WebStore(tmp_path) as store:
        failing(store, code, "words of SQLite")
        with pytest.raises(DataError, match=remedy) as caught:
            store.get(URL)
    is_damaged = code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
    assert ("delete the folder" in str(caught.value)) == is_damaged
    assert "index.sqlite cannot be used (words of SQLite)" in str(caught.value)


def test_an_index_that_cannot_be_opened_is_a_plain_error(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").mkdir()
    with pytest.raises(DataError, match=r"cannot be used .*set IMF_STATE"):
        WebStore(tmp_path)


def test_a_bug_in_a_statement_stays_one(tmp_path: Path) -> None:
    with WebStore(tmp_path) as store:
        store._index.close()
        with pytest.raises(sqlite3.ProgrammingError):
            store.get(URL)


def test_a_reason_of_an_earlier_release_is_made_plain(tmp_path: Path) -> None:
    with WebStore(tmp_path) as store:
        store.put_failure(URL, Failure("unreachable", "no connection", is_final=False), "")
        reason = "redirected to http://me:pw@a/b?token=x: \x1b[2J"
        store._index.execute("UPDATE outcomes SET reason = ?", reason)
        stored = store.get(URL)
    assert stored is not None
    assert stored.reason == "redirected to http://a/b: \\x1b[2J"


def test_a_file_is_indexed_before_it_leaves_where_it_came_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    with WebStore(tmp_path) as store:
        monkeypatch.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            put(store, URL, b"bytes")
        monkeypatch.undo()
    with WebStore(tmp_path) as store:
        assert store.get(URL) is None
        assert store.incoming(URL).read_bytes() == b"bytes"
