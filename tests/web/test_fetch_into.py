import asyncio
import errno
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from local_server import LocalServer
from web_inputs import fetch_params

from imf_core.base.errors import ConfigError, NetworkError
from imf_core.web import client, fetch, hosts
from imf_core.web.client import WebClient
from imf_core.web.fetch import fetch_into
from imf_core.web.store import WebStore

Serve = Callable[..., LocalServer]


def fetch_all(
    store: WebStore,
    urls: Iterable[str],
    max_bytes: int = 1000,
    mirror: str | None = None,
    **changes: object,
) -> None:
    params = fetch_params(**changes)
    fetch_into(store, urls, params, max_bytes=max_bytes, mirror=mirror, label="test")


def status(store: WebStore, url: str) -> str | None:
    stored = store.get(url)
    return stored.status if stored else None


def test_every_url_has_an_outcome_in_the_end(serve: Serve, tmp_path: Path) -> None:
    server = serve(a=[(200, {}, b"bytes")], b=[(403, {}, b"")])
    urls = [f"{server.url}/{name}" for name in "abc"]
    with WebStore(tmp_path) as store:
        fetch_all(store, urls)
        assert [status(store, url) for url in urls] == ["ok", "unreachable", "not_found"]


def test_a_url_that_comes_twice_is_fetched_once(serve: Serve, tmp_path: Path) -> None:
    server = serve(a=[(200, {}, b"bytes")], b=[(403, {}, b"")])
    with WebStore(tmp_path) as store:
        fetch_all(store, [f"{server.url}/{name}" for name in "abab" * 500])
    assert server.asked == {"/a": 1, "/b": 1}


def test_the_next_run_asks_again_for_what_may_have_passed_alone(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(
        a=[(200, {}, b"bytes")],
        b=[(403, {}, b""), (200, {}, b"bytes")],
        c=[(404, {}, b"")],
        d=[(200, {}, b"x" * 2000)],
        e=[(302, {"Location": "http://127.0.0.2:9/"}, b"")],
    )
    urls = [f"{server.url}/{name}" for name in "abcde"]
    for _ in range(3):
        with WebStore(tmp_path) as store:
            fetch_all(store, urls)
            assert status(store, urls[0]) == "ok"
    assert server.asked == {"/a": 1, "/b": 2, "/c": 1, "/d": 1, "/e": 1}


def test_another_parameter_may_mend_what_was_final(serve: Serve, tmp_path: Path) -> None:
    server, other = serve(a=[(200, {}, b"x" * 2000)]), serve(a=[(200, {}, b"bytes")])
    urls, allowed = [f"{server.url}/a", f"{other.url}/a"], [server.host]
    with WebStore(tmp_path) as store:
        fetch_all(store, urls, allowed_private_hosts=allowed)
        assert [status(store, url) for url in urls] == ["too_many_bytes", "refused"]
    with WebStore(tmp_path) as store:
        fetch_all(store, urls, 2000, allowed_private_hosts=[*allowed, other.host])
        assert [status(store, url) for url in urls] == ["ok", "ok"]


def test_a_name_of_a_private_address_is_asked_for_again_in_the_next_run(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(a=[(200, {}, b"bytes")])
    url, address = f"http://a.example:{server.port}/a", ("10.0.0.1", 80)
    stream = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(*stream, address)])
    with WebStore(tmp_path) as store:
        fetch_all(store, [url])
        assert status(store, url) == "refused"
    address = ("127.0.0.1", server.port)
    monkeypatch.setattr(client, "public_socket", None)
    with WebStore(tmp_path) as store:
        fetch_all(store, [url])
        assert status(store, url) == "ok"


def test_what_the_mirror_lacks_is_asked_for_again(serve: Serve, tmp_path: Path) -> None:
    server = serve(a=[(200, {}, b"bytes")])
    (tmp_path / "mirror").mkdir()
    with WebStore(tmp_path / "store") as store:
        fetch_all(store, [f"{server.url}/a"], mirror=str(tmp_path / "mirror"))
        assert status(store, f"{server.url}/a") == "not_found"
    with WebStore(tmp_path / "store") as store:
        fetch_all(store, [f"{server.url}/a"])
        assert status(store, f"{server.url}/a") == "ok"


def test_urls_are_taken_as_they_are_needed(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "LOOK_AHEAD", 4)
    monkeypatch.setattr(fetch, "_TAKEN_AT_ONCE", 2)
    server = serve(**{f"a{number}": [(200, {}, b"bytes")] for number in range(50)})
    furthest = 0

    def urls() -> Iterator[str]:
        nonlocal furthest
        for number in range(50):
            furthest = max(furthest, number - sum(server.asked.values()))
            yield f"{server.url}/a{number}"

    with WebStore(tmp_path) as store:
        fetch_all(store, urls())
    assert sum(server.asked.values()) == 50
    assert furthest <= 6


def test_a_fault_of_the_urls_comes_through(tmp_path: Path) -> None:
    def urls() -> Iterator[str]:
        yield "http://example.invalid/"
        raise OSError("the list cannot be read")

    with WebStore(tmp_path) as store, pytest.raises(OSError, match="the list cannot be read"):
        fetch_all(store, urls(), mirror=str(tmp_path))


def test_a_fault_of_the_disk_comes_through(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(WebClient, "fetch", fail)
    with WebStore(tmp_path) as store, pytest.raises(OSError, match="the disk is full"):
        fetch_all(store, ["http://example.org/a"])


@pytest.fixture
def dead(serve: Serve) -> str:
    """A host that does not answer."""
    with LocalServer({}) as server:
        return server.url


def test_what_was_fetched_before_a_kill_is_not_asked_for(serve: Serve, tmp_path: Path) -> None:
    server = serve(a=[(200, {}, b"bytes")])
    with WebStore(tmp_path) as store:
        store.incoming(f"{server.url}/a").write_bytes(b"bytes")
        fetch_all(store, [f"{server.url}/a"])
        assert status(store, f"{server.url}/a") == "ok"
    assert server.asked == {}


@pytest.mark.parametrize("starts_down", [True, False])
def test_a_network_that_is_down_for_seconds_loses_nothing(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, starts_down: bool
) -> None:
    server = serve(**{f"a{number}": [(200, {}, b"bytes")] for number in range(400)})
    now, sockets = 0.0, 0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        await asyncio.sleep(0)

    def connect(address_info: tuple[Any, ...]) -> socket.socket:
        nonlocal sockets
        sockets += 1
        if now < 3.0 and (starts_down or sockets > 4):
            raise OSError(errno.ENETUNREACH, "the network is down")
        return socket.socket(*address_info[:3])

    monkeypatch.setattr(hosts, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(hosts, "sleep", sleep)
    monkeypatch.setattr(hosts, "FIRST_PAUSE_SECONDS", 1.0)
    monkeypatch.setattr(client, "public_socket", connect)
    monkeypatch.setattr(client, "_IDLE_SECONDS", 0.0)  # a connection for every file
    urls = [f"{server.url}/a{number}" for number in range(400)]
    with WebStore(tmp_path) as store:
        fetch_all(store, urls, attempts=4, allowed_private_hosts=[])
        assert {status(store, url) for url in urls} == {"ok"}
    assert now >= 3.0


def test_dead_links_are_unreachable_where_others_answer(
    serve: Serve, tmp_path: Path, dead: str
) -> None:
    server = serve(a=[(200, {}, b"bytes")])
    with WebStore(tmp_path) as store:
        fetch_all(store, [f"{server.url}/a", f"{dead}/a"])
        assert status(store, f"{dead}/a") == "unreachable"


def test_a_host_that_answered_earlier_in_the_run_counts(
    serve: Serve, tmp_path: Path, dead: str
) -> None:
    server = serve(a=[(200, {}, b"bytes")])
    with WebStore(tmp_path) as store:
        fetch_all(store, [f"{server.url}/a"])
        fetch_all(store, [f"{dead}/a"])
        assert status(store, f"{dead}/a") == "unreachable"


def test_where_nobody_answers_the_run_fails_and_nothing_is_noted(tmp_path: Path, dead: str) -> None:
    for _ in range(2):
        with WebStore(tmp_path) as store:
            with pytest.raises(NetworkError, match=r"not one of 3 files .*\(a proxy that the env"):
                fetch_all(store, [f"{dead}/{name}" for name in "abc"])
            assert status(store, f"{dead}/a") is None


def test_a_long_list_is_not_gone_through_where_nobody_answers(
    tmp_path: Path, dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "LOOK_AHEAD", 4)
    urls = [f"{dead}/{number}" for number in range(100)]
    with WebStore(tmp_path) as store, pytest.raises(NetworkError, match=r"not one of [4-7] files"):
        fetch_all(store, urls)


def test_where_only_links_known_to_be_dead_are_left_nobody_needs_to_answer(
    serve: Serve, tmp_path: Path, dead: str
) -> None:
    server = serve(a=[(200, {}, b"bytes")])
    for _ in range(2):
        with WebStore(tmp_path) as store:
            fetch_all(store, [f"{server.url}/a", f"{dead}/a"])
            assert status(store, f"{dead}/a") == "unreachable"
    assert server.asked == {"/a": 1}


def test_a_host_that_answered_and_fell_silent_fails_the_run_at_its_end(
    serve: Serve, tmp_path: Path, dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "LONGEST_SILENCE_SECONDS", 0.0)
    server = serve(a=[(200, {}, b"bytes")])
    with WebStore(tmp_path) as store:
        store.answered.add(dead.removeprefix("http://"))
        urls = [*(f"{dead}/{name}" for name in "abc"), f"{server.url}/a"]
        with pytest.raises(NetworkError, match=r"did not answer for 0 s: 3 files left; the next"):
            fetch_all(store, urls)
        assert status(store, f"{server.url}/a") == "ok"


def test_a_host_that_asks_for_too_long_a_pause_fails_the_run_if_files_are_left(
    serve: Serve, tmp_path: Path
) -> None:
    busy = [(429, {"Retry-After": "31"}, b"")]
    server = serve(a=busy, b=busy)
    urls = [f"{server.url}/{name}" for name in "ab"]
    told = r"longest_pause_seconds \(30\): 1 files left"
    with WebStore(tmp_path) as store:
        with pytest.raises(NetworkError, match=told):
            fetch_all(store, urls, requests_per_host=1)
        assert sorted(str(status(store, url)) for url in urls) == ["None", "unreachable"]
    with WebStore(tmp_path) as store:
        fetch_all(store, urls[:1])
    assert sum(server.asked.values()) == 2


def test_a_mirror_that_is_none_is_an_error(tmp_path: Path) -> None:
    with WebStore(tmp_path) as store, pytest.raises(ConfigError, match="is no directory"):
        fetch_all(store, [], mirror=str(tmp_path / "gone"))
