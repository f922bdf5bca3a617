import asyncio
import gzip
import socket
import threading
import tracemalloc
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from local_server import LocalServer, broken_off, ranged
from web_inputs import fetch_params

from imf_core.base.config import FetchParams
from imf_core.web import client, hosts
from imf_core.web.client import WebClient
from imf_core.web.hosts import Host
from imf_core.web.responses import Failure

Serve = Callable[..., LocalServer]


def fetch(
    url: str,
    target: Path,
    params: FetchParams | None = None,
    mirror: str | None = None,
    max_bytes: int = 10_000_000,
    resume: bool = False,
) -> Failure | None:
    async def run() -> Failure | None:
        async with WebClient(params or fetch_params(), mirror) as made:
            return await made.fetch(url, target, max_bytes=max_bytes, resume=resume)

    return asyncio.run(run())


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "fetched/file"


@pytest.fixture(autouse=True)
def _folder(target: Path) -> None:
    target.parent.mkdir()


def test_a_file_is_fetched_under_our_name_and_nothing_else_is_left(
    serve: Serve, target: Path
) -> None:
    server = serve(a=[(200, {}, b"bytes")])
    assert fetch(f"{server.url}/a", target, fetch_params(contact="me@example.org")) is None
    assert target.read_bytes() == b"bytes"
    assert list(target.parent.iterdir()) == [target]
    agent = "imf/0.1 (multimodal knowledge-graph completion; +me@example.org)"
    assert server.headers[0]["User-Agent"] == agent
    assert server.headers[0]["Accept-Encoding"] == "gzip"


def test_no_cookie_comes_back(serve: Serve, target: Path) -> None:
    server = serve(
        a=[(302, {"Set-Cookie": "id=1; Path=/", "Location": "/b"}, b"")], b=[(200, {}, b"x")]
    )
    fetch(f"{server.url}/a", target)
    assert [headers.get("Cookie") for headers in server.headers] == [None, None]


def test_the_environment_names_no_proxy(
    serve: Serve, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert fetch(f"{serve(a=[(200, {}, b'x')]).url}/a", target) is None


@pytest.mark.parametrize("status", [404, 410])
def test_what_is_not_there_is_final_at_once(serve: Serve, target: Path, status: int) -> None:
    server = serve(a=[(status, {}, b"")])
    assert fetch(f"{server.url}/a", target) == Failure("not_found", f"HTTP {status}", True)
    assert server.asked["/a"] == 1


def test_a_page_we_may_not_see_is_not_asked_for_again_now(serve: Serve, target: Path) -> None:
    server = serve(a=[(403, {}, b"")])
    assert fetch(f"{server.url}/a", target) == Failure("unreachable", "HTTP 403", False)
    assert server.asked["/a"] == 1


def test_a_failing_server_is_asked_as_often_as_the_parameters_say(
    serve: Serve, target: Path
) -> None:
    server = serve(a=[(503, {}, b"")])
    assert fetch(f"{server.url}/a", target) == Failure("unreachable", "HTTP 503", False)
    assert server.asked["/a"] == 3


def test_a_server_that_recovers_gives_the_file(serve: Serve, target: Path) -> None:
    server = serve(a=[(500, {}, b""), (502, {}, b""), (200, {}, b"bytes")])
    assert fetch(f"{server.url}/a", target) is None
    assert target.read_bytes() == b"bytes"


@pytest.mark.parametrize("status", [429, 503])
def test_a_pause_asked_for_takes_the_place_of_the_back_off(
    serve: Serve, target: Path, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "sleep", None)
    server = serve(a=[(status, {"Retry-After": "0"}, b""), (200, {}, b"bytes")])
    assert fetch(f"{server.url}/a", target) is None


def test_a_pause_until_a_far_date_is_not_waited_for(serve: Serve, target: Path) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    server = serve(a=[(429, {"Retry-After": when}, b"")], b=[(200, {}, b"bytes")])

    async def run() -> list[Failure | None]:
        async with WebClient(fetch_params(), None) as made:
            urls = [f"{server.url}/{name}" for name in "ab"]
            return [await made.fetch(url, target, max_bytes=9) for url in urls]

    first, second = asyncio.run(run())
    assert first is not None
    assert first.reason.startswith("HTTP 429, with a pause of 3")
    assert second is not None
    assert "asks for a pause longer than fetch.longest_pause_seconds (30)" in second.reason
    assert server.asked == {"/a": 1}


def test_a_body_over_the_limit_is_given_up_by_its_announced_length(
    serve: Serve, target: Path
) -> None:
    server = serve(a=[(200, {}, b"x" * 5000)])
    failure = fetch(f"{server.url}/a", target, max_bytes=4999)
    assert failure == Failure("too_many_bytes", "more than 4999 bytes", True)
    assert list(target.parent.iterdir()) == []


def test_a_body_that_announces_no_length_is_cut_off_at_the_limit(
    serve: Serve, target: Path
) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 100_000)

    server = serve(a=endless)
    failure = fetch(f"{server.url}/a", target, max_bytes=1_000_000)
    assert failure == Failure("too_many_bytes", "more than 1000000 bytes", True)
    assert list(target.parent.iterdir()) == []


def test_a_file_of_just_the_limit_is_taken(serve: Serve, target: Path) -> None:
    assert fetch(f"{serve(a=[(200, {}, b'12345')]).url}/a", target, max_bytes=5) is None


def test_a_body_cut_short_is_no_file(serve: Serve, target: Path) -> None:
    server = serve(a=broken_off(b"half"))
    failure = fetch(f"{server.url}/a", target)
    assert failure == Failure("unreachable", "the connection broke off", False)
    assert server.asked["/a"] == 3
    assert list(target.parent.iterdir()) == []


def test_a_server_that_keeps_us_waiting_is_left_after_the_time_out(
    serve: Serve, target: Path
) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.02)

    server = serve(a=endless)
    params = fetch_params(timeout_seconds=1.0, attempts=2)
    assert fetch(f"{server.url}/a", target, params) == Failure("unreachable", "timed out", False)
    assert server.asked["/a"] == 2


GZIP = {"Content-Encoding": "gzip"}
LONG = bytes(range(256)) * 1000


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZip"])
def test_a_gzip_body_is_unpacked(serve: Serve, target: Path, encoding: str) -> None:
    server = serve(a=[(200, {"Content-Encoding": encoding}, gzip.compress(LONG))])
    assert fetch(f"{server.url}/a", target, max_bytes=len(LONG)) is None
    assert target.read_bytes() == LONG


def test_one_gzip_after_another_is_one_file(serve: Serve, target: Path) -> None:
    body = gzip.compress(b"one, ") + gzip.compress(b"") + gzip.compress(b"two")
    assert fetch(f"{serve(a=[(200, GZIP, body)]).url}/a", target) is None
    assert target.read_bytes() == b"one, two"


def test_a_gzip_longer_than_the_limit_is_taken_if_the_file_is_not(
    serve: Serve, target: Path
) -> None:
    server = serve(a=[(200, GZIP, gzip.compress(b"12345"))])
    assert fetch(f"{server.url}/a", target, max_bytes=5) is None
    assert target.read_bytes() == b"12345"


def test_a_body_that_swells_is_cut_off_at_the_limit(serve: Serve, target: Path) -> None:
    bomb = gzip.compress(bytes(100_000_000))
    assert len(bomb) < 100_000
    server = serve(a=[(200, GZIP, bomb)])
    tracemalloc.start()
    try:
        failure = fetch(f"{server.url}/a", target, max_bytes=1_000_000)
        most_held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert failure == Failure("too_many_bytes", "more than 1000000 bytes", True)
    assert most_held < 20_000_000
    assert list(target.parent.iterdir()) == []


def test_a_gzip_of_nothing_over_and_over_is_cut_off(serve: Serve, target: Path) -> None:
    server = serve(a=[(200, GZIP, gzip.compress(b"") * 10_000)])
    failure = fetch(f"{server.url}/a", target, max_bytes=1000)
    assert failure == Failure("too_many_bytes", "more than 1000 bytes", True)


def test_a_gzip_cut_short_is_asked_for_again(serve: Serve, target: Path) -> None:
    packed = gzip.compress(LONG)
    server = serve(a=[(200, GZIP, packed[:-9]), (200, GZIP, packed[:-1]), (200, GZIP, packed)])
    assert fetch(f"{server.url}/a", target) is None
    assert target.read_bytes() == LONG
    assert server.asked["/a"] == 3


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the gzip of the answer is cut short"),
        (gzip.compress(LONG)[:-1], "the gzip of the answer is cut short"),
        (b"no gzip at all", "the gzip of the answer is damaged"),
        (gzip.compress(LONG)[:-8] + bytes(8), "the gzip of the answer is damaged"),
        (gzip.compress(LONG) + b"and more", "the gzip of the answer is damaged"),
    ],
)
def test_a_gzip_that_cannot_be_unpacked_is_no_file(
    serve: Serve, target: Path, body: bytes, reason: str
) -> None:
    server = serve(a=[(200, GZIP, body)])
    assert fetch(f"{server.url}/a", target) == Failure("unreachable", reason, False)
    assert list(target.parent.iterdir()) == []


def test_a_redirect_leads_to_a_gzip_as_well(serve: Serve, target: Path) -> None:
    server = serve(a=[(302, {"Location": "/b"}, b"")], b=[(200, GZIP, gzip.compress(b"bytes"))])
    assert fetch(f"{server.url}/a", target) is None
    assert target.read_bytes() == b"bytes"


def test_a_file_that_may_go_on_is_asked_for_as_it_is(serve: Serve, target: Path) -> None:
    server = serve(a=ranged(LONG, 1000))
    assert fetch(f"{server.url}/a", target, resume=True) is None
    encodings = [headers["Accept-Encoding"] for headers in server.headers]
    assert encodings == ["identity", "identity"]


def test_a_compressed_body_not_asked_for_is_kept_as_it_is(serve: Serve, target: Path) -> None:
    packed = gzip.compress(b"an archive, say")
    assert fetch(f"{serve(a=[(200, GZIP, packed)]).url}/a", target, resume=True) is None
    assert target.read_bytes() == packed


def test_a_file_broken_off_goes_on_where_it_stopped(serve: Serve, target: Path) -> None:
    body = bytes(range(256)) * 100
    server = serve(a=ranged(body, 1000))
    assert fetch(f"{server.url}/a", target, resume=True) is None
    assert target.read_bytes() == body
    assert [headers.get("Range") for headers in server.headers] == [None, "bytes=1000-"]


def test_a_partial_file_of_an_earlier_run_goes_on(serve: Serve, target: Path) -> None:
    body = bytes(range(256)) * 100
    target.with_name("file.partial").write_bytes(body[:5000])
    server = serve(a=ranged(body, 1000))
    assert fetch(f"{server.url}/a", target, resume=True) is None
    assert target.read_bytes() == body
    assert server.headers[0]["Range"] == "bytes=5000-"


def test_a_partial_file_that_is_whole_already_is_taken(serve: Serve, target: Path) -> None:
    target.with_name("file.partial").write_bytes(b"whole")
    server = serve(a=ranged(b"whole", 1))
    assert fetch(f"{server.url}/a", target, resume=True) is None
    assert target.read_bytes() == b"whole"
    assert server.asked["/a"] == 1


def test_a_partial_file_longer_than_the_file_is_thrown_away(serve: Serve, target: Path) -> None:
    target.with_name("file.partial").write_bytes(b"longer than that")
    server = serve(a=[(416, {"Content-Range": "bytes */5"}, b""), (200, {}, b"whole")])
    assert fetch(f"{server.url}/a", target, resume=True) is None
    assert target.read_bytes() == b"whole"


def test_a_server_that_ignores_the_range_sends_all_anew(serve: Serve, target: Path) -> None:
    target.with_name("file.partial").write_bytes(b"xxxx")
    assert fetch(f"{serve(a=[(200, {}, b'bytes')]).url}/a", target, resume=True) is None
    assert target.read_bytes() == b"bytes"


def test_a_partial_file_stays_for_the_next_run_when_the_server_fails(
    serve: Serve, target: Path
) -> None:
    partial = target.with_name("file.partial")
    partial.write_bytes(b"half")
    failure = fetch(f"{serve(a=[(503, {}, b'')]).url}/a", target, resume=True)
    assert failure == Failure("unreachable", "HTTP 503", False)
    assert partial.read_bytes() == b"half"


def test_an_attempt_that_gets_on_is_not_counted(
    serve: Serve, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PROGRESS_BYTES", 100)
    body = bytes(range(250)) * 4

    async def hundred(request: web.Request) -> web.StreamResponse:
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        length = len(body) - start
        headers = {
            "Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}",
            "Content-Length": str(length),
        }
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        await response.prepare(request)
        await response.write(body[start : start + 100])
        if length > 100:
            assert request.transport is not None
            request.transport.close()
        return response

    server = serve(a=hundred)
    assert fetch(f"{server.url}/a", target, fetch_params(attempts=1), resume=True) is None
    assert target.read_bytes() == body
    assert server.asked["/a"] == 10


def test_without_resuming_a_partial_file_is_thrown_away(serve: Serve, target: Path) -> None:
    target.with_name("file.partial").write_bytes(b"old")
    server = serve(a=[(200, {}, b"bytes")])
    assert fetch(f"{server.url}/a", target) is None
    assert "Range" not in server.headers[0]


def test_redirects_are_followed_to_the_file(serve: Serve, target: Path) -> None:
    other = serve(c=[(200, {}, b"bytes")])
    server = serve(
        a=[(301, {"Location": "/b"}, b"")], b=[(307, {"Location": f"{other.url}/c"}, b"")]
    )
    assert fetch(f"{server.url}/a", target) is None
    assert target.read_bytes() == b"bytes"


def test_a_circle_of_redirects_is_given_up(serve: Serve, target: Path) -> None:
    server = serve(a=[(302, {"Location": "/a"}, b"")])
    assert fetch(f"{server.url}/a", target) == Failure(
        "unreachable", "more than 5 redirects", False
    )
    assert server.asked["/a"] == 6


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://169.254.169.254/latest", "169.254.169.254 is not a public address"),
        ("http://127.0.0.2:9/", "127.0.0.2 is not a public address"),
        ("file:///etc/hostname", "no valid URL"),
        ("ftp://example.org/a", "only http and https URLs are fetched"),
        ("http://user:word@example.org/", "a URL with a user name or password is not fetched"),
        ("http://[half", "no valid URL"),
    ],
)
def test_a_redirect_is_checked_as_a_url_is(
    serve: Serve, target: Path, location: str, reason: str
) -> None:
    server = serve(a=[(302, {"Location": location}, b"")])
    failure = fetch(f"{server.url}/a", target)
    assert failure is not None
    assert (failure.status, failure.is_final) == ("refused", True)
    assert failure.reason.startswith("redirected to ")
    assert reason in failure.reason
    assert server.asked["/a"] == 1


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_no_spelling_of_the_loopback_is_asked(serve: Serve, target: Path, host: str) -> None:
    server = serve(a=[(200, {}, b"secret")])
    params = fetch_params(allowed_private_hosts=["example.org"])
    failure = fetch(f"http://{host}:{server.port}/a", target, params)
    assert failure is not None
    assert failure.status == "refused"
    assert server.asked == {}


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Resolves every name to these addresses."""

    def getaddrinfo(_host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [
            (family[":" in address], socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["10.0.0.1", "127.0.0.2", "fd00::1"]])
def test_a_name_of_private_addresses_is_refused_for_now(
    target: Path, monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    resolve_to(monkeypatch, *addresses)
    reason = "a.example is not a public address; fetch.allowed_private_hosts may name its host"
    assert fetch("http://a.example/a", target) == Failure("refused", reason, False)


def test_a_named_host_may_have_several_private_addresses(
    serve: Serve, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(a=[(200, {}, b"bytes")])
    resolve_to(monkeypatch, "::1", "127.0.0.1")
    params = fetch_params(allowed_private_hosts=["a.example"])
    assert fetch(f"http://a.example:{server.port}/a", target, params) is None


def test_a_healthy_host_does_not_wait_behind_dead_names(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(a=[(200, {}, b"bytes")])
    hosts = ["alive.example", *(f"dead{number}.example" for number in range(60))]
    is_asked, may_end = threading.Semaphore(0), threading.Event()

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        if host.startswith("dead"):
            is_asked.release()
            may_end.wait()
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    async def run() -> list[Failure | None]:
        params = fetch_params(attempts=1, timeout_seconds=60.0, allowed_private_hosts=hosts)
        async with WebClient(params, None) as made:

            def get(host: str) -> Coroutine[object, object, Failure | None]:
                url = f"http://{host}:{server.port}/a"
                return made.fetch(url, tmp_path / host, max_bytes=99)

            dead = [asyncio.create_task(get(host)) for host in hosts[1:]]
            for _ in dead:
                await asyncio.to_thread(is_asked.acquire)
            alive = await get(hosts[0])
            may_end.set()
            return [alive, *await asyncio.gather(*dead)]

    alive, *dead = asyncio.run(run())
    assert alive is None
    assert dead == [Failure("unreachable", "the host's name is not known", False)] * 60


def test_a_slow_look_up_is_no_silence_of_the_host(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: may_end.wait())
    monkeypatch.setattr(Host, "note_silence", None)
    params = fetch_params(timeout_seconds=0.05, attempts=2)
    try:
        failure = fetch("http://a.example/a", target, params)
    finally:
        may_end.set()
    assert failure == Failure("unreachable", "the look-up of the host's name timed out", False)


def test_a_host_that_answered_is_waited_for_whatever_the_attempts(
    serve: Serve, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(a=[(200, {}, b"bytes")])
    refusals = 20

    def fail_at_first(address_info: tuple[Any, ...]) -> socket.socket:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise ConnectionRefusedError
        return socket.socket(*address_info[:3])

    monkeypatch.setattr(client, "public_socket", fail_at_first)

    async def sleep(_seconds: float) -> None:
        monkeypatch.setattr(Host, "pause_seconds", 0.0)

    monkeypatch.setattr(hosts, "sleep", sleep)
    params = fetch_params(attempts=1, allowed_private_hosts=[])

    async def run(answered: set[str]) -> Failure | None:
        async with WebClient(params, None, answered) as made:
            return await made.fetch(f"{server.url}/a", target, max_bytes=99)

    assert asyncio.run(run(set())) == Failure("unreachable", "no connection", False)
    assert refusals == 19
    assert asyncio.run(run({server.host})) is None


def test_a_refusal_says_which_parameter_may_allow_it(target: Path) -> None:
    failure = fetch("http://127.0.0.2:9/a", target)
    reason = "127.0.0.2 is not a public address; fetch.allowed_private_hosts may name its host"
    assert failure == Failure("refused", reason, True)


def test_an_allowed_host_is_asked_at_its_port_alone(serve: Serve, target: Path) -> None:
    allowed, other = serve(a=[(200, {}, b"bytes")]), serve(a=[(200, {}, b"bytes")])
    params = fetch_params(allowed_private_hosts=[allowed.host])
    assert fetch(f"{allowed.url}/a", target, params) is None
    failure = fetch(f"{other.url}/a", target, params)
    assert failure is not None
    assert failure.status == "refused"


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "https://[half",
        "http://user:pw@example.org/",
        "http://127.0.0.1:99999/",
        "file:///etc/hostname",
        "ftp://example.org/a",
        "no url",
        "//example.org/a",
        "http://" + "a" * 70 + ".example/",
        "http://a..b/",
    ],
)
def test_what_is_no_web_address_is_refused(target: Path, url: str) -> None:
    failure = fetch(url, target)
    assert failure is not None
    assert (failure.status, failure.is_final) == ("refused", True)


def test_a_host_that_does_not_listen_is_unreachable(serve: Serve, target: Path) -> None:
    with LocalServer({}) as server:
        url = f"{server.url}/a"
    assert fetch(url, target) == Failure("unreachable", "no connection", False)


def test_no_more_requests_are_under_way_at_a_host_than_the_parameters_say(
    serve: Serve, tmp_path: Path
) -> None:
    waiting: list[asyncio.Event] = []

    async def answer_when_three_wait(_request: web.Request) -> web.Response:
        waiting.append(asyncio.Event())
        mine = waiting[-1]
        if len(waiting) == 3:
            await asyncio.sleep(0.05)  # a fourth would be here by then
            for event in waiting:
                event.set()
            waiting.clear()
        await mine.wait()
        return web.Response(body=b"bytes")

    server = serve(**{f"a{number}": answer_when_three_wait for number in range(12)})

    async def run() -> None:
        async with WebClient(fetch_params(requests_per_host=3), None) as made:
            asked = (
                made.fetch(f"{server.url}/a{number}", tmp_path / str(number), max_bytes=99)
                for number in range(12)
            )
            await asyncio.gather(*asked)

    asyncio.run(run())
    assert server.most_at_once == 3


def test_a_mirror_folder_stands_for_the_web(target: Path, tmp_path: Path) -> None:
    path = tmp_path / "mirror/example.org/a.png?width=3"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"bytes")
    mirror = str(tmp_path / "mirror")
    assert fetch("https://example.org/a.png?width=3", target, mirror=mirror) is None
    assert target.read_bytes() == b"bytes"
    missing = fetch("https://example.org/b.png", target, mirror=mirror)
    assert missing == Failure("not_found", "not in the mirror folder", False)
    long = fetch("https://example.org/a.png?width=3", target, mirror=mirror, max_bytes=4)
    assert long == Failure("too_many_bytes", "more than 4 bytes", True)
    climbing = fetch("https://example.org/../../secret", target, mirror=mirror)
    assert climbing is not None
    assert climbing.status == "refused"


def test_a_mirror_url_stands_for_the_web_and_may_be_private(target: Path) -> None:
    params = fetch_params(allowed_private_hosts=[])
    answers = {"/base/example.org/a.png?width=3": [(200, {}, b"bytes")]}
    with LocalServer(answers) as server:
        mirror = f"{server.url}/base/"
        assert fetch("https://example.org/a.png?width=3", target, params, mirror) is None
        missing = fetch("https://example.org/b.png", target, params, mirror)
    assert target.read_bytes() == b"bytes"
    assert missing == Failure("not_found", "HTTP 404 from the mirror", False)


@pytest.mark.parametrize("path", ["../../admin", "%2e%2e/%2E%2E/admin", "..%2f../admin"])
def test_a_mirror_url_cannot_be_climbed_out_of(serve: Serve, target: Path, path: str) -> None:
    server = serve(admin=[(200, {}, b"secret")])
    url = f"http://example.org/{path}"
    failure = fetch(url, target, mirror=f"{server.url}/base")
    assert failure == Failure("refused", f"{url} leads out of the mirror", True)
    assert server.asked == {}


def test_a_mirror_does_not_open_other_private_places(serve: Serve, target: Path) -> None:
    other = serve(a=[(200, {}, b"secret")])
    answers = {"/example.org/a": [(302, {"Location": f"{other.url}/a"}, b"")]}
    with LocalServer(answers) as server:
        failure = fetch(
            "http://example.org/a", target, fetch_params(allowed_private_hosts=[]), server.url
        )
    assert failure is not None
    assert failure.status == "refused"
    assert other.asked == {}
