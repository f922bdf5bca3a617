"""Stored content is fetched again, and none of it is lost."""

import sqlite3
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from local_server import LocalServer
from web_inputs import fetch_params

from imf_core.base.errors import NetworkError
from imf_core.web import hosts
from imf_core.web.fetch import fetch_into
from imf_core.web.responses import Failure
from imf_core.web.store import Stored, WebStore

Serve = Callable[..., LocalServer]
NEVER = "2020-01-01T00:00:00Z"
GOOD, OTHER, GONE, BROKEN = (
    (200, {}, b"bytes"),
    (200, {}, b"others"),
    (404, {}, b""),
    (403, {}, b""),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "web"


@pytest.fixture
def fetched(folder: Path) -> Callable[[Iterable[str]], None]:
    """Fetches in a separate run, at the oldest possible time."""

    def fetch(urls: Iterable[str]) -> None:
        with WebStore(folder) as store:
            fetch_all(store, urls)
        with sqlite3.connect(folder / "index.sqlite") as index:
            index.execute("UPDATE outcomes SET fetched_at = ?, asked_at = ?", (NEVER, NEVER))
        index.close()

    return fetch


Fetched = Callable[[Iterable[str]], None]


def fetch_all(store: WebStore, urls: Iterable[str]) -> None:
    fetch_into(store, urls, fetch_params(attempts=1), max_bytes=50, mirror=None, label="test")


def ask_again(folder: Path, url: str) -> Stored | None:
    """Refetches everything in a separate run, and returns the outcomes."""
    with WebStore(folder) as store:
        store.set_aside_older_than(datetime.now(UTC))
    with WebStore(folder) as store:
        fetch_all(store, [url])
        return store.get(url)


def test_what_is_set_aside_is_asked_for_again(serve: Serve, folder: Path, fetched: Fetched) -> None:
    server = serve(a=[GOOD, OTHER])
    fetched([f"{server.url}/a"])
    stored = ask_again(folder, f"{server.url}/a")
    assert stored is not None
    assert stored.path is not None
    assert stored.path.read_bytes() == b"others"
    assert stored.is_replacement
    assert stored.fetched_at > NEVER


def test_the_same_content_keeps_its_time_and_is_not_old_any_more(
    serve: Serve, folder: Path, fetched: Fetched
) -> None:
    server = serve(a=[GOOD])
    fetched([f"{server.url}/a"])
    stored = ask_again(folder, f"{server.url}/a")
    assert server.asked == {"/a": 2}
    assert stored is not None
    assert (stored.fetched_at, stored.is_replacement) == (NEVER, False)
    with WebStore(folder) as store:
        assert store.set_aside_older_than(datetime.now(UTC) - timedelta(days=1)) == 0


def test_the_same_fault_keeps_its_time(serve: Serve, folder: Path, fetched: Fetched) -> None:
    server = serve(a=[GONE], b=[BROKEN])
    urls = [f"{server.url}/a", f"{server.url}/b"]
    fetched(urls)
    with WebStore(folder) as store:
        assert store.set_aside_failed() == 1  # the other is refetched in any case
    with WebStore(folder) as store:
        fetch_all(store, urls)
        assert [store.get(url).fetched_at for url in urls] == [NEVER, NEVER]  # type: ignore[union-attr]
    assert server.asked == {"/a": 2, "/b": 2}


def test_what_is_gone_by_the_word_of_its_host_is_gone(
    serve: Serve, folder: Path, fetched: Fetched
) -> None:
    server = serve(a=[GOOD, GONE])
    fetched([f"{server.url}/a"])
    stored = ask_again(folder, f"{server.url}/a")
    assert stored is not None
    assert stored.status == "not_found"


@pytest.mark.parametrize(
    "answer",
    [BROKEN, (500, {}, b""), (200, {}, b"x" * 99), (302, {"Location": "http://127.0.0.2:9"}, b"")],
    ids=["forbidden", "a failure of the server", "too long", "redirected to a private address"],
)
def test_content_gives_way_to_no_other_fault(
    serve: Serve, folder: Path, fetched: Fetched, answer: tuple[int, dict[str, str], bytes]
) -> None:
    server = serve(a=[GOOD, answer])
    fetched([f"{server.url}/a"])
    stored = ask_again(folder, f"{server.url}/a")
    assert stored is not None
    assert (stored.status, stored.fetched_at, stored.is_of_this_run) == ("ok", NEVER, True)
    with WebStore(folder) as store:
        assert store.set_aside_older_than(datetime.now(UTC) - timedelta(days=1)) == 1


def test_a_network_that_is_down_takes_nothing_and_fails_no_run(
    folder: Path, fetched: Fetched
) -> None:
    with LocalServer({"/a": [GOOD], "/b": [GONE]}) as server:
        urls = [f"{server.url}/a", f"{server.url}/b"]
        fetched(urls)
    with WebStore(folder) as store:
        store.set_aside_older_than(datetime.now(UTC))
        assert [store.get(url) for url in urls] == [None, None]
    with WebStore(folder) as store:
        fetch_all(store, urls)
        assert [store.get(url).status for url in urls] == ["ok", "not_found"]  # type: ignore[union-attr]
        expected = "2 files or answers were requested again without success; their earlier content"
        assert expected in store.warning
        assert "(no connection: 2)" in store.warning


def test_a_network_that_is_down_fails_the_run_where_something_was_never_had(
    folder: Path, fetched: Fetched
) -> None:
    with LocalServer({"/a": [GOOD]}) as server:
        fetched([f"{server.url}/a"])
    with WebStore(folder) as store:
        store.set_aside_older_than(datetime.now(UTC))
        with pytest.raises(NetworkError, match="not one of 1 files"):
            fetch_all(store, [f"{server.url}/a", f"{server.url}/new"])
        assert store.get(f"{server.url}/a") is not None


def test_a_host_that_fell_silent_takes_nothing(
    folder: Path, fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "LONGEST_SILENCE_SECONDS", 0.0)
    with LocalServer({"/a": [GOOD]}) as server:
        fetched([f"{server.url}/a"])
    with WebStore(folder) as store:
        store.set_aside_older_than(datetime.now(UTC))
        store.answered.add(server.host)
        fetch_all(store, [f"{server.url}/a"])
        assert store.get(f"{server.url}/a") is not None
        assert "did not answer for 0 s" in store.warning


def test_only_what_was_named_is_set_aside(serve: Serve, folder: Path, fetched: Fetched) -> None:
    server = serve(a=[GOOD], b=[GOOD])
    fetched([f"{server.url}/a", f"{server.url}/b"])
    with WebStore(folder) as store:
        assert store.set_aside([f"{server.url}/a", "http://example.org/unknown"]) == 1
        assert store.get(f"{server.url}/a") is None
        assert store.get(f"{server.url}/b") is not None
        assert store.warning == ""


def test_an_index_of_an_earlier_release_is_read_on(folder: Path) -> None:
    url, failure = "http://example.org/a", Failure("not_found", "HTTP 404", is_final=True)
    with WebStore(folder) as store:
        store.put_failure(url, failure, "")
    index = sqlite3.connect(folder / "index.sqlite")
    index.execute("ALTER TABLE outcomes DROP COLUMN asked_at")
    index.execute("DROP TABLE earlier")
    index.close()
    with WebStore(folder) as store:
        assert store.set_aside_older_than(datetime.now(UTC) - timedelta(days=1)) == 0
        assert store.set_aside_older_than(datetime.now(UTC) + timedelta(days=1)) == 1
        earlier = store.earlier(url)
    assert earlier is not None
    assert earlier.reason == "HTTP 404"
