import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from imf_core.features.fetch import SILENT_HOST_FAILURES, USER_AGENT, ImageFetcher
from imf_core.media.images import RejectedImage


class Server:
    """A loopback server: path -> answers (status, headers, body), the last one repeated."""

    def __init__(self, answers: dict[str, list[tuple[int, dict[str, str], bytes]]]) -> None:
        self.asked: Counter[str] = Counter()
        self.agents: set[str] = set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                plan = answers.get(self.path, [(404, {}, b"")])
                status, headers, body = plan[min(server.asked[self.path], len(plan) - 1)]
                server.asked[self.path] += 1
                server.agents.add(self.headers["User-Agent"])
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"


Serve = Callable[..., Server]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    started: list[tuple[Server, threading.Thread]] = []

    def start(**answers: list[tuple[int, dict[str, str], bytes]]) -> Server:
        server = Server({f"/{name}": plan for name, plan in answers.items()})
        thread = threading.Thread(target=server.http.serve_forever, args=(0.01,))
        thread.start()
        started.append((server, thread))
        return server

    yield start
    for server, thread in started:
        server.http.shutdown()
        server.http.server_close()
        thread.join()


@contextmanager
def fetcher(
    store: Path, mirror: str | None = None, max_bytes: int = 1000
) -> Iterator[tuple[ImageFetcher, list[float]]]:
    pauses: list[float] = []
    with ImageFetcher(
        store, timeout_seconds=5.0, max_bytes=max_bytes, mirror=mirror, sleep=pauses.append
    ) as made:
        yield made, pauses


def test_a_file_is_fetched_once_under_our_name(serve: Serve, tmp_path: Path) -> None:
    server = serve(a=[(200, {}, b"bytes")])
    for _ in range(2):
        with fetcher(tmp_path) as (fetch, _pauses):
            assert fetch.fetch(f"{server.url}/a") == b"bytes"
    assert server.asked["/a"] == 1
    assert server.agents == {USER_AGENT}


def test_a_missing_page_is_unreachable_at_once(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    with fetcher(tmp_path) as (fetch, pauses):
        assert fetch.fetch(f"{server.url}/gone") == RejectedImage("unreachable", "HTTP 404")
    assert (server.asked["/gone"], pauses) == (1, [])


def test_a_failure_is_asked_again_by_the_next_run(serve: Serve, tmp_path: Path) -> None:
    server = serve(a=[(404, {}, b""), (200, {}, b"bytes")])
    with fetcher(tmp_path) as (fetch, _):
        assert isinstance(fetch.fetch(f"{server.url}/a"), RejectedImage)
    with fetcher(tmp_path) as (fetch, _):
        assert fetch.fetch(f"{server.url}/a") == b"bytes"


def test_a_pause_asked_for_is_kept(serve: Serve, tmp_path: Path) -> None:
    server = serve(a=[(429, {"Retry-After": "3"}, b""), (200, {}, b"bytes")])
    with fetcher(tmp_path) as (fetch, pauses):
        assert fetch.fetch(f"{server.url}/a") == b"bytes"
    assert pauses == [3.0]


def test_a_pause_until_a_date_is_kept(serve: Serve, tmp_path: Path) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=4), usegmt=True)
    server = serve(a=[(503, {"Retry-After": when}, b""), (200, {}, b"bytes")])
    with fetcher(tmp_path) as (fetch, pauses):
        assert fetch.fetch(f"{server.url}/a") == b"bytes"
    assert len(pauses) == 1
    assert 1 <= pauses[0] <= 4


def test_a_pause_longer_than_the_time_out_is_not_waited_for(serve: Serve, tmp_path: Path) -> None:
    server = serve(a=[(429, {"Retry-After": "3600"}, b"")])
    with fetcher(tmp_path) as (fetch, pauses):
        assert fetch.fetch(f"{server.url}/a") == RejectedImage("unreachable", "HTTP 429")
    assert (server.asked["/a"], pauses) == (1, [])


def test_a_failing_server_is_asked_three_times(serve: Serve, tmp_path: Path) -> None:
    server = serve(a=[(503, {}, b"")])
    with fetcher(tmp_path) as (fetch, pauses):
        assert fetch.fetch(f"{server.url}/a") == RejectedImage("unreachable", "HTTP 503")
    assert (server.asked["/a"], pauses) == (3, [1.0, 2.0])


def test_a_file_over_the_limit_is_given_up_and_not_stored(serve: Serve, tmp_path: Path) -> None:
    server = serve(a=[(200, {}, b"x" * 5000)])
    with fetcher(tmp_path) as (fetch, _):
        result = fetch.fetch(f"{server.url}/a")
    assert isinstance(result, RejectedImage)
    assert result.fault == "too_many_bytes"
    assert list(tmp_path.iterdir()) == []


def test_a_host_that_does_not_answer_is_left_alone(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    server.http.socket.close()  # the port is closed now
    with fetcher(tmp_path) as (fetch, pauses):
        results = [fetch.fetch(f"{server.url}/{i}") for i in range(10)]
    assert {result.fault for result in results if isinstance(result, RejectedImage)} == {
        "unreachable"
    }
    assert len(pauses) < SILENT_HOST_FAILURES


@pytest.mark.parametrize("url", ["http://", "https://[half", "http://user:pw@:0/"])
def test_a_broken_url_is_unreachable(tmp_path: Path, url: str) -> None:
    with fetcher(tmp_path) as (fetch, _):
        result = fetch.fetch(url)
    assert isinstance(result, RejectedImage)
    assert result.fault == "unreachable"


def test_a_mirror_folder_stands_for_the_web(tmp_path: Path) -> None:
    path = tmp_path / "mirror/example.org/flags/a.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"bytes")
    with fetcher(tmp_path / "store", str(tmp_path / "mirror")) as (fetch, _):
        assert fetch.fetch("https://example.org/flags/a.png") == b"bytes"
        assert fetch.fetch("https://example.org/flags/b.png") == RejectedImage(
            "unreachable", "not in the mirror folder"
        )


def test_a_url_cannot_climb_out_of_the_mirror_folder(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    with fetcher(tmp_path / "store", str(tmp_path / "mirror")) as (fetch, _):
        assert isinstance(fetch.fetch("https://example.org/../../secret"), RejectedImage)


def test_a_mirror_url_stands_for_the_web(tmp_path: Path) -> None:
    answers = {"/base/example.org/a.png?width=3": [(200, {}, b"bytes")]}
    server = Server(answers)
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    try:
        with fetcher(tmp_path, f"{server.url}/base/") as (fetch, _):
            assert fetch.fetch("https://example.org/a.png?width=3") == b"bytes"
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()


def test_many_threads_may_ask_for_one_url(serve: Serve, tmp_path: Path) -> None:
    server = serve(a=[(200, {}, b"bytes")])
    results: list[bytes | RejectedImage] = []
    with fetcher(tmp_path) as (fetch, _):

        def ask() -> None:
            results.append(fetch.fetch(f"{server.url}/a"))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [b"bytes"] * 8
    assert server.asked["/a"] == 1
