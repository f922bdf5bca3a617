"""Unexpected answers of servers; none ends a stage."""

import asyncio
import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web_inputs import fetch_params

from imf_core.web import client
from imf_core.web.client import WebClient
from imf_core.web.fetch import fetch_into
from imf_core.web.responses import MAX_REASON_CHARACTERS, Failure
from imf_core.web.store import WebStore

Serve = Callable[..., "RawServer"]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
FOUND = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "
HEADER_BYTES = st.binary(max_size=300).map(lambda value: value.translate(None, b"\r\n"))


class RawServer:
    """Answers every request with bytes, valid HTTP or not: those of its path, else `default`."""

    def __init__(self, **answers: bytes) -> None:
        self.answers = {f"/{path}": answer for path, answer in answers.items()}
        self.default = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        self.asked: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    self._answer(connection)
                except OSError:
                    continue

    def _answer(self, connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            if not (received := connection.recv(65_536)):
                return
            request += received
        path = request.split(b" ")[1].decode()
        self.asked.append(path)
        connection.sendall(self.answers.get(path, self.default))
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)


@pytest.fixture
def raw() -> Iterator[Serve]:
    """Starts servers with the given answers by path."""
    servers: list[RawServer] = []

    def start(**answers: bytes) -> RawServer:
        servers.append(RawServer(**answers))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def fetch(url: str, target: Path, *, resume: bool = False) -> Failure | None:
    async def run() -> Failure | None:
        params = fetch_params(attempts=1, timeout_seconds=2.0)
        async with WebClient(params, None) as made:
            return await made.fetch(url, target, max_bytes=1000, resume=resume)

    return asyncio.run(run())


def is_plain(reason: str) -> bool:
    is_printable = reason.isascii() and (reason.isprintable() or not reason)
    return is_printable and len(reason) <= MAX_REASON_CHARACTERS


@pytest.mark.parametrize("length", [9_000, 60_000])
def test_a_long_header_is_read(raw: Serve, tmp_path: Path, length: int) -> None:
    server = raw(a=OK + b"Content-Security-Policy: " + b"x" * length + b"\r\n\r\nab")
    assert fetch(f"{server.url}/a", tmp_path / "a") is None


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"X: " + b"x" * 100_000 + b"\r\n\r\nab",
        FOUND + b"/" + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 404 " + b"x" * 100_000 + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 100 + b"\r\n\r\nab",
        FOUND + b"/a\x00b\r\n\r\n",
    ],
)
def test_an_answer_that_cannot_be_read_is_a_status_of_its_url_alone(
    raw: Serve, tmp_path: Path, answer: bytes
) -> None:
    server = raw(a=answer, b=OK + b"\r\nab")
    with WebStore(tmp_path) as store:
        urls = [f"{server.url}/{name}" for name in "ab"]
        fetch_into(store, urls, fetch_params(attempts=1), max_bytes=9, mirror=None, label="")
        odd, good = map(store.get, urls)
    assert odd is not None
    assert odd.status == "unreachable"
    assert "no valid HTTP, or headers longer than 65536 bytes" in odd.reason
    assert good is not None
    assert good.status == "ok"


def test_a_host_with_unreadable_answers_alone_has_answered(raw: Serve, tmp_path: Path) -> None:
    server = raw(a=OK + b"X: " + b"x" * 100_000 + b"\r\n\r\nab")
    with WebStore(tmp_path) as store:
        url = f"{server.url}/a"
        fetch_into(store, [url], fetch_params(attempts=1), max_bytes=9, mirror=None, label="")
        assert store.answered


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        (b"/caf\xe9.png", "/caf%E9.png"),
        (b"/caf\xc3\xa9.png", "/caf%C3%A9.png"),
        (b"caf%E9.png", "/caf%E9.png"),
        (b"/a b?c=\xe9", "/a%20b?c=%E9"),
    ],
)
def test_bytes_of_a_redirect_are_asked_for_as_they_are(
    raw: Serve, tmp_path: Path, location: bytes, asked: str
) -> None:
    server = raw(**{"a": FOUND + location + b"\r\n\r\n", asked[1:]: OK + b"\r\nab"})
    assert fetch(f"{server.url}/a", tmp_path / "a") is None
    assert server.asked == ["/a", asked]


@pytest.mark.parametrize(
    ("location", "status"),
    [
        (b"http://\xff\xfe/", "refused"),
        (b"http://a\xe9/", "refused"),
        (b"/a\x1b[2Jb", "refused"),
        (b"/a\tb", "refused"),
        (b"file:///etc/hostname", "refused"),
        (b"javascript:alert(1)", "refused"),
        (b"http://b.c&][x@", "refused"),
        (b"http://a b/", "refused"),
        (b"", "unreachable"),
        (b"#x", "unreachable"),
        (b"/a", "unreachable"),
    ],
)
def test_a_redirect_to_nowhere_is_a_status(
    raw: Serve, tmp_path: Path, location: bytes, status: str
) -> None:
    server = raw(a=FOUND + location + b"\r\n\r\n")
    failure = fetch(f"{server.url}/a", tmp_path / "a")
    assert failure is not None
    assert failure.status == status
    assert is_plain(failure.reason)


@pytest.mark.parametrize(
    "location",
    [
        b"http://127.0.0.2/p?token=SECRET",
        b"http://127.0.0.2/p#SECRET",
        b"http://user:SECRET@127.0.0.2/p",
        b"http://SECRET@[half/p",
        b"ftp://user:SECRET@example.org/",
        b"data:text/plain,SECRET",
    ],
)
def test_no_secret_of_a_redirect_is_kept(raw: Serve, tmp_path: Path, location: bytes) -> None:
    server = raw(a=FOUND + location + b"\r\n\r\n")
    failure = fetch(f"{server.url}/a", tmp_path / "a")
    assert failure is not None
    assert failure.reason.startswith("redirected to ")
    assert "SECRET" not in failure.reason


@pytest.mark.parametrize(
    "value", [b"Mon, 01 Jan 99999999999999999999 00:00:00 GMT", b"9" * 5_000, b"-1", b"\xff", b""]
)
def test_an_odd_retry_after_is_a_status_of_its_url(
    raw: Serve, tmp_path: Path, value: bytes
) -> None:
    head = b"HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\nRetry-After: "
    server = raw(a=head + value + b"\r\n\r\n")
    failure = fetch(f"{server.url}/a", tmp_path / "a")
    assert failure is not None
    assert failure.status == "unreachable"
    assert failure.reason.startswith("HTTP 429")


@pytest.mark.parametrize("extra", [b"", b"Content-Range: bytes 0-1/9\r\n"])
def test_a_part_that_nobody_asked_for_is_no_file(raw: Serve, tmp_path: Path, extra: bytes) -> None:
    server = raw(a=b"HTTP/1.1 206 Part\r\nContent-Length: 2\r\n" + extra + b"\r\nab")
    failure = fetch(f"{server.url}/a", tmp_path / "a")
    reason = "a part of the file, which was not asked for"
    assert failure == Failure("unreachable", reason, is_final=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content_range", "reason"),
    [
        (b"bytes 2-3/9", "another range than asked for"),
        (b"bytes 4-3/9", "another range than asked for"),
        (b"bytes 4-x/9", "another range than asked for"),
        (b"bytes 4-9/10", "another range than announced"),
        (b"bytes 4-5/5", "another range than announced"),
        (b"bytes 4-5/9", "a part of the range asked for"),
    ],
)
def test_a_range_that_is_not_as_announced_is_no_file(
    raw: Serve, tmp_path: Path, content_range: bytes, reason: str
) -> None:
    head = b"HTTP/1.1 206 Part\r\nContent-Length: 2\r\nContent-Range: "
    server = raw(a=head + content_range + b"\r\n\r\nab")
    (tmp_path / "a.partial").write_bytes(b"1234")
    failure = fetch(f"{server.url}/a", tmp_path / "a", resume=True)
    assert failure == Failure("unreachable", reason, is_final=False)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("encoding", [b"br", b"zstd", b"deflate", b"gzip, gzip", b"br,gzip"])
def test_a_coding_that_was_not_asked_for_is_no_file(
    raw: Serve, tmp_path: Path, encoding: bytes
) -> None:
    server = raw(a=OK + b"Content-Encoding: " + encoding + b"\r\n\r\nab")
    failure = fetch(f"{server.url}/a", tmp_path / "a")
    reason = "the answer is compressed in a way that was not asked for"
    assert failure == Failure("unreachable", reason, is_final=False)


@pytest.mark.parametrize("encoding", [b"identity", b"UTF-8", b"", b"\xff", b"none"])
def test_a_coding_that_is_none_leaves_the_file_as_it_is(
    raw: Serve, tmp_path: Path, encoding: bytes
) -> None:
    server = raw(a=OK + b"Content-Encoding: " + encoding + b"\r\n\r\nab")
    assert fetch(f"{server.url}/a", tmp_path / "a") is None
    assert (tmp_path / "a").read_bytes() == b"ab"


def test_a_gzip_inside_a_gzip_is_not_unpacked_twice(raw: Serve, tmp_path: Path) -> None:
    inner = gzip.compress(bytes(1_000_000))
    body = gzip.compress(inner)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    assert fetch(f"{raw(a=head.encode() + body).url}/a", tmp_path / "a") is not None


SHARED = HealthCheck.function_scoped_fixture


@settings(max_examples=60, deadline=None, suppress_health_check=[SHARED])
@given(status=st.sampled_from([200, 206, 302, 404, 416, 429, 503]), values=st.lists(HEADER_BYTES))
def test_no_header_of_a_server_ends_a_fetch(
    raw: Serve, tmp_path: Path, status: int, values: list[bytes]
) -> None:
    names = [b"Location", b"Retry-After", b"Content-Range", b"Content-Encoding", b"Content-Type"]
    pairs = zip([*names, b"Set-Cookie", b"Content-Length"], values, strict=False)
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in pairs)
    server = raw()
    server.default = b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n" % status + lines + b"\r\nab"
    failure = fetch(f"{server.url}/a", tmp_path / "file")
    assert failure is None or (failure.status != "error" and is_plain(failure.reason))


@pytest.mark.parametrize("error", [RuntimeError("odd\x1b"), KeyError("x"), RecursionError()])
def test_an_error_of_one_url_is_its_status_and_is_counted(
    raw: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    server = raw(good=OK + b"\r\nab", bad=OK + b"\r\nab")
    receive = client.receive

    async def receive_or_fail(response: object, *arguments: object, **options: object) -> None:
        if str(response.url).endswith("bad"):  # type: ignore[attr-defined]
            raise error
        await receive(response, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(client, "receive", receive_or_fail)
    urls = [f"{server.url}/{name}" for name in ("bad", "good")]
    with WebStore(tmp_path) as store:
        fetch_into(store, urls, fetch_params(), max_bytes=9, mirror=None, label="")
        bad, good = map(store.get, urls)
        warning = store.warning
    assert bad is not None
    assert bad.status == "error"
    assert bad.reason.startswith(type(error).__name__)
    assert is_plain(bad.reason)
    assert good is not None
    assert good.status == "ok"
    assert "warning: 1 files or answers met an error of this program" in warning
    assert type(error).__name__ in warning


def test_a_full_disk_is_no_status_of_a_url(
    raw: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(client, "receive", fail)
    url = raw(a=OK + b"\r\nab").url + "/a"
    with WebStore(tmp_path) as store, pytest.raises(OSError, match="No space"):
        fetch_into(store, [url], fetch_params(), max_bytes=9, mirror=None, label="")
