"""One file from the web into a file here, with good manners and within bounds.

In: a URL, as untrusted as the graph that names it. Out: the file, or the fault that stands in the
way. Every hop of a redirect is checked as the first URL is. A file that is never resumed may come
compressed; the size limit holds for what is kept.
"""

import asyncio
import errno
import shutil
import ssl
from asyncio import sleep
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from imf_core.config import FetchParams
from imf_core.web.addresses import PrivateAddressError, is_named, public_socket, refused
from imf_core.web.body import finish, receive, size_of
from imf_core.web.faults import Fault, FaultError, TransientError, too_long
from imf_core.web.hosts import Host, HostGivenUpError, Hosts
from imf_core.web.manners import back_off_seconds, retry_after_seconds, user_agent
from imf_core.web.mirror import FolderMirror, UrlMirror, make_mirror
from imf_core.web.names import NameResolver
from imf_core.web.urls import join, parse, worded

MAX_REDIRECTS = 5
PROGRESS_BYTES = 1 << 20
"""An attempt that brings a resumable file forward by so much is not counted."""

_IDLE_SECONDS = 3.0  # many hosts: connections must not pile up
_GONE = frozenset({404, 410})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRY_LATER = frozenset({408, 425, 429})
_HEADER_BYTES = 1 << 16
"""Some servers send policies or cookies of ten thousand characters."""
_OF_THIS_MACHINE = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM),
        *(errno.ENOENT, errno.EMFILE, errno.ENFILE),
    }
)
"""Errors of files: those of other URLs would be the same."""


class WebClient:
    """Fetches files; an async context manager.

    Attributes:
        left: URL that had no fair chance -> why its host, which had answered before, was given up.
    """

    def __init__(
        self, params: FetchParams, mirror: str | None, answered: set[str] | None = None
    ) -> None:
        """Prepares to fetch; opens no connection.

        Args:
            params: Manners and bounds.
            mirror: Folder or base URL that holds every file at its URL without the scheme, asked
                in place of the web. None: the web.
            answered: Hosts that have answered in this run; those that do are added. None: none.

        Raises:
            ConfigError: If the mirror is neither a folder nor an http(s) URL.
        """
        self._params = params
        self._mirror = make_mirror(mirror)
        self.left: dict[str, str] = {}
        self._hosts = Hosts(
            params.requests_per_host,
            params.longest_pause_seconds,
            set() if answered is None else answered,
        )

    async def __aenter__(self) -> Self:
        """Opens the sessions: one that reaches public addresses alone, one for named hosts."""
        self._names = NameResolver()
        self._public = self._open_session(public_socket)
        self._named = self._open_session(None)
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
        await self._names.close()

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
            None when `target` is there and whole, or why it is not. An exception that nobody
            expected is the fault of its URL, with status `error`.

        Raises:
            OSError: If the disk is full or a file cannot be read or written.
        """
        partial = target.with_name(f"{target.name}.partial")
        try:
            fault = await self._fetch_to(partial, url, max_bytes, resume)
        except Exception as error:
            if isinstance(error, MemoryError) or _is_of_this_machine(error):
                raise
            fault = Fault("error", f"{type(error).__name__}: {error}", is_final=False)
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
                fault = Fault("unreachable", str(error), is_final=False)
                if error.had_answered and not failures:
                    self.left[url] = fault.reason
                return fault
            except TransientError as error:
                got_on = resume and size_of(partial) >= before + PROGRESS_BYTES
                failures += error.is_of_file and not got_on
                if failures >= self._params.attempts:
                    return Fault("unreachable", str(error), is_final=False)
                if not error.is_host_paused:
                    pause = back_off_seconds(url, failures)
                    await sleep(min(pause, self._params.timeout_seconds))
            else:
                return None

    async def _attempt(self, url: str, partial: Path, max_bytes: int, resume: bool) -> None:
        """Follows redirects to the file and reads it."""
        parse(url)
        if isinstance(self._mirror, FolderMirror):
            return await _copy(self._mirror, url, partial, max_bytes)
        place = parse(self._mirror.place_of(url) if self._mirror else url)
        for hop in range(MAX_REDIRECTS + 1):
            async with self._hosts.turn(f"{place.raw_host}:{place.port}") as host:
                try:
                    redirect = await self._request(place, host, partial, max_bytes, resume)
                except FaultError as error:
                    raise FaultError(worded(error.fault, place, hop)) from error
            if redirect is None:
                return None
            try:
                place = parse(redirect)
            except FaultError as error:
                raise FaultError(worded(error.fault, None, hop + 1)) from error
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
                    return join(url, response.headers["Location"])
                if response.status == 416 and start:
                    finish(response, partial, start)
                    return None
                self._require_content(response, host)
                await receive(response, partial, start, max_bytes, may_unpack=not resume)
                return None
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, PrivateAddressError):
                raise FaultError(refused(url)) from error
            host.note_silence()
            # A host that answered before is waited for: the file itself is not to blame.
            is_of_file = not host.had_answered or isinstance(error, aiohttp.ClientSSLError)
            raise TransientError(
                _word_no_connection(error), is_host_paused=True, is_of_file=is_of_file
            ) from error
        except TimeoutError as error:
            if self._names.is_looking_up(url.host):
                raise TransientError("the look-up of the host's name timed out") from error
            if not has_answered:
                host.note_silence()
            raise TransientError("timed out", is_host_paused=not has_answered) from error
        except (aiohttp.InvalidURL, UnicodeError) as error:  # a host that cannot be encoded
            raise FaultError(Fault("refused", "no valid URL", is_final=True)) from error
        except aiohttp.ClientResponseError as error:  # aiohttp cannot read it
            host.note_answer()
            reason = f"no valid HTTP, or headers longer than {_HEADER_BYTES} bytes"
            raise TransientError(reason) from error
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
            if pause > self._params.longest_pause_seconds:
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

    def _open_session(
        self, socket_factory: aiohttp.SocketFactoryType | None
    ) -> aiohttp.ClientSession:
        """Makes a session that keeps no cookies and heeds no environment."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=_IDLE_SECONDS,
                resolver=self._names,
                socket_factory=socket_factory,
            ),
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
            headers={"User-Agent": user_agent(self._params)},
            timeout=aiohttp.ClientTimeout(total=self._params.timeout_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )


async def _copy(mirror: FolderMirror, url: str, partial: Path, max_bytes: int) -> None:
    """Copies the file that stands for `url` in a folder."""
    source = mirror.find(url)
    if source is None:
        raise FaultError(Fault("not_found", "not in the mirror folder", is_final=False))
    if source.stat().st_size > max_bytes:
        raise too_long(max_bytes)
    await asyncio.to_thread(shutil.copyfile, source, partial)


def _is_of_this_machine(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in _OF_THIS_MACHINE


def _word_no_connection(error: aiohttp.ClientConnectorError) -> str:
    """Words why there was no connection, the same way each time."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host's name is not known"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "no secure connection"
    return "no connection"
