"""One file from the web into a file here, with good manners and within bounds.

In: a URL, as untrusted as the graph that names it. Out: the file, or the fault that stands in the
way. Every hop of a redirect is checked as the first URL is. A file that is never resumed may come
compressed; the size limit holds for what is kept.
"""

import asyncio
import hashlib
import shutil
import ssl
from asyncio import sleep
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from imf_core.config import FetchParams
from imf_core.web.addresses import PrivateAddressError, is_named, public_socket
from imf_core.web.body import finish, receive, size_of
from imf_core.web.faults import Fault, FaultError, TransientError, too_long
from imf_core.web.hosts import Host, HostGivenUpError, Hosts, retry_after_seconds
from imf_core.web.mirror import FolderMirror, UrlMirror, make_mirror

__all__ = ["Fault", "WebClient", "back_off_seconds", "user_agent"]

MAX_REDIRECTS = 5
FIRST_PAUSE_SECONDS = 1.0
PROGRESS_BYTES = 1 << 20
"""An attempt that brings a resumable file forward by so much is not counted."""

_IDLE_SECONDS = 3.0  # many hosts: connections must not pile up
_GONE = frozenset({404, 410})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRY_LATER = frozenset({408, 425, 429})


class WebClient:
    """Fetches files; an async context manager."""

    def __init__(self, params: FetchParams, mirror: str | None) -> None:
        """Prepares to fetch; opens no connection.

        Args:
            params: Manners and bounds.
            mirror: Folder or base URL that holds every file at its URL without the scheme, asked
                in place of the web. None: the web.

        Raises:
            ConfigError: If the mirror is neither a folder nor an http(s) URL.
        """
        self._params = params
        self._mirror = make_mirror(mirror)
        self._hosts = Hosts(params.requests_per_host, params.timeout_seconds)

    async def __aenter__(self) -> Self:
        """Opens the sessions: one that reaches public addresses alone, one for named hosts."""
        self._public = self._open_session(
            aiohttp.TCPConnector(
                limit=0, keepalive_timeout=_IDLE_SECONDS, socket_factory=public_socket
            )
        )
        self._named = self._open_session(
            aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the connections."""
        await self._public.close()
        await self._named.close()

    async def fetch(
        self, url: str, target: Path, *, max_bytes: int, resume: bool = False
    ) -> Fault | None:
        """Writes what is at an http(s) URL to `target`, through `<target>.partial` beside it.

        Args:
            url: What to fetch.
            target: Where it is to stand; its folder exists.
            max_bytes: A longer file is given up.
            resume: A partial file left behind goes on with a Range request, and starts anew where
                the server ignores the range. The file may have changed in between, so whoever
                resumes checks the content. An attempt that gets on does not count.

        Returns:
            None when `target` is there and whole, or why it is not.
        """
        partial = target.with_name(f"{target.name}.partial")
        fault = await self._fetch_to(partial, url, max_bytes, resume)
        if fault is None:
            partial.replace(target)
        elif fault.is_final or not resume:
            partial.unlink(missing_ok=True)
        return fault

    async def _fetch_to(
        self, partial: Path, url: str, max_bytes: int, resume: bool
    ) -> Fault | None:
        """Asks up to `attempts` times."""
        failures = 0
        while True:
            if not resume:
                partial.unlink(missing_ok=True)
            before = size_of(partial)
            try:
                await self._attempt(url, partial, max_bytes, resume)
            except FaultError as error:
                return error.fault
            except HostGivenUpError as error:
                return Fault("unreachable", str(error), is_final=False)
            except TransientError as error:
                failures += not (resume and size_of(partial) >= before + PROGRESS_BYTES)
                if failures == self._params.attempts:
                    return Fault("unreachable", str(error), is_final=False)
                if not error.is_host_paused:
                    pause = back_off_seconds(url, failures)
                    await sleep(min(pause, self._params.timeout_seconds))
            else:
                return None

    async def _attempt(self, url: str, partial: Path, max_bytes: int, resume: bool) -> None:
        """Follows redirects to the file and reads it."""
        _parse(url)
        if isinstance(self._mirror, FolderMirror):
            return await _copy(self._mirror, url, partial, max_bytes)
        place = _parse(self._mirror.place_of(url) if self._mirror else url)
        for hop in range(MAX_REDIRECTS + 1):
            async with self._hosts.turn(f"{place.host}:{place.port}") as host:
                try:
                    redirect = await self._request(place, host, partial, max_bytes, resume)
                except FaultError as error:
                    raise FaultError(_worded(error.fault, place, hop)) from error
            if redirect is None:
                return None
            try:
                place = _parse(redirect)
            except FaultError as error:
                raise FaultError(_worded(error.fault, redirect, hop + 1)) from error
        raise FaultError(
            Fault("unreachable", f"more than {MAX_REDIRECTS} redirects", is_final=False)
        )

    async def _request(
        self, url: URL, host: Host, partial: Path, max_bytes: int, resume: bool
    ) -> str | None:
        """Makes one request; returns where it is redirected to, None when the file is here."""
        start = size_of(partial)
        # A range counts the bytes as they are sent: a file that may go on must come as it is.
        headers = {"Accept-Encoding": "identity" if resume else "gzip"}
        if start:
            headers["Range"] = f"bytes={start}-"
        session = self._named if self._is_named(url) else self._public
        has_answered = False
        try:
            async with session.get(url, headers=headers, allow_redirects=False) as response:
                has_answered = True
                host.note_answer()
                if response.status in _REDIRECTS and "Location" in response.headers:
                    return _join(url, response.headers["Location"])
                if response.status == 416 and start:
                    finish(response, partial, start)
                    return None
                self._require_content(response, host)
                await receive(response, partial, start, max_bytes, may_unpack=not resume)
                return None
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, PrivateAddressError):
                reason = f"{error.os_error}; fetch.allowed_private_hosts may name its host"
                raise FaultError(Fault("refused", reason, is_final=True)) from error
            host.note_silence()
            raise TransientError(_word_no_connection(error)) from error
        except TimeoutError as error:
            if not has_answered:
                host.note_silence()
            raise TransientError("timed out") from error
        except ValueError as error:  # aiohttp's own, or a host that cannot be encoded
            raise FaultError(Fault("refused", "no valid URL", is_final=True)) from error
        except (aiohttp.ClientError, ConnectionError, ssl.SSLError) as error:
            raise TransientError("the connection broke off") from error

    def _require_content(self, response: aiohttp.ClientResponse, host: Host) -> None:
        """Passes a response with a body; raises for every other one."""
        status = response.status
        if status in {200, 206}:
            return
        from_whom = " from the mirror" if self._mirror is not None else ""
        reason = f"HTTP {status}{from_whom}"
        if status in _GONE:
            raise FaultError(Fault("not_found", reason, is_final=self._mirror is None))
        if status not in _TRY_LATER and status < 500:
            raise FaultError(Fault("unreachable", reason, is_final=False))
        pause = None
        if status in {429, 503}:
            pause = retry_after_seconds(response.headers.get("Retry-After"))
        if pause is not None:
            host.ask_to_pause(pause)
            if pause > self._params.timeout_seconds:
                reason += f", with a pause of {pause:.0f} s asked for"
                raise FaultError(Fault("unreachable", reason, is_final=False))
        raise TransientError(reason, is_host_paused=pause is not None)

    def _is_named(self, url: URL) -> bool:
        """Whether `url` is on a host that may have a private address."""
        if isinstance(self._mirror, UrlMirror):
            base = URL(self._mirror.base)
            if (url.host, url.port) == (base.host, base.port):
                return True
        return is_named(url, self._params.allowed_private_hosts)

    def _open_session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        """Makes a session that keeps no cookies and heeds no environment."""
        return aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": user_agent(self._params)},
            timeout=aiohttp.ClientTimeout(total=self._params.timeout_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )


def user_agent(params: FetchParams) -> str:
    """Says to every host who asks, and whom to write to."""
    contact = f"; +{params.contact}" if params.contact else ""
    return f"imf/0.1 (multimodal knowledge-graph completion{contact})"


def back_off_seconds(url: str, failures: int) -> float:
    """Returns the pause before another attempt: about 1, 2, 4, ... s, spread by the URL's hash."""
    digest = hashlib.sha256(f"{failures} {url}".encode()).digest()
    spread = 0.5 + int.from_bytes(digest[:4], "big") / 2**32
    return float(FIRST_PAUSE_SECONDS * 2.0 ** (max(failures, 1) - 1) * spread)


async def _copy(mirror: FolderMirror, url: str, partial: Path, max_bytes: int) -> None:
    """Copies the file that stands for `url` in a folder."""
    try:
        source = mirror.find(url)
    except ValueError as error:
        raise FaultError(Fault("refused", str(error), is_final=True)) from error
    if source is None:
        raise FaultError(Fault("not_found", "not in the mirror folder", is_final=False))
    if source.stat().st_size > max_bytes:
        raise too_long(max_bytes)
    await asyncio.to_thread(shutil.copyfile, source, partial)


def _parse(url: str) -> URL:
    """Checks what can be seen of a URL before its host is looked up."""
    try:
        parsed = URL(url)
        host, port = parsed.host, parsed.port
    except ValueError:
        host, port = None, None
    if host is None or "://" not in url:
        reason = "no valid URL"
    elif parsed.scheme not in {"http", "https"} or port is None:
        reason = "only http and https URLs are fetched"
    elif parsed.user is not None or parsed.password is not None:
        reason = "a URL with a user name or password is not fetched"
    else:
        return parsed
    raise FaultError(Fault("refused", reason, is_final=True))


def _join(url: URL, location: str) -> str:
    """Returns where a Location header points to, seen from `url`."""
    try:
        return str(url.join(URL(location)))
    except ValueError:
        return location  # refused as no valid URL


def _worded(fault: Fault, place: URL | str, hop: int) -> Fault:
    """Adds where a redirect led to."""
    if hop == 0:
        return fault
    return Fault(fault.status, f"redirected to {place}: {fault.reason}", fault.is_final)


def _word_no_connection(error: aiohttp.ClientConnectorError) -> str:
    """Words why there was no connection, the same way each time."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host's name is not known"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "no secure connection"
    return "no connection"
