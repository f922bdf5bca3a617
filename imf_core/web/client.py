"""Fetches one file from the web, with backoff and limits.

In: an untrusted URL. Out: the file, or a failure. Every hop of a redirect is checked like the first
URL. A file that is never resumed may come compressed; the size limit applies to the unpacked file.
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

from imf_core.base.config import FetchParams
from imf_core.web.hosts import Host, HostGivenUpError, Hosts, Resolver
from imf_core.web.responses import (
    Failure,
    FetchError,
    TransientError,
    back_off_seconds,
    finish,
    receive,
    retry_after_seconds,
    size_of,
    too_long,
    user_agent,
)
from imf_core.web.urls import (
    FolderMirror,
    PrivateAddressError,
    UrlMirror,
    format_redirect,
    is_named,
    join,
    make_mirror,
    parse,
    private_address_failure,
    public_socket,
)

MAX_REDIRECTS = 5
PROGRESS_BYTES = 1 << 20
"""An attempt that adds this many bytes to a resumable file is not counted."""

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
"""Errors of this machine's disk; every other URL would meet them too."""


class WebClient:
    """Fetches files; an async context manager.

    Attributes:
        left: URL without a full set of attempts -> reason why its host was given up.
    """

    def __init__(
        self, params: FetchParams, mirror: str | None, answered: set[str] | None = None
    ) -> None:
        """Prepares to fetch; opens no connection.

        Args:
            params: Backoff and limits.
            mirror: Folder or base URL that holds every file at its URL without the scheme, used
                instead of the web. None: the web.
            answered: Hosts that have answered in this run; the client adds to it. None: none.

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
        """Opens one session for public addresses only, one for named hosts."""
        self._resolver = Resolver()
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
        await self._resolver.close()

    async def fetch(
        self, url: str, target: Path, *, max_bytes: int, resume: bool = False
    ) -> Failure | None:
        """Writes the content of an http(s) URL to `target`, through `<target>.partial` beside it.

        Args:
            url: The URL.
            target: The file to write; its folder exists.
            max_bytes: Largest size of the file.
            resume: Whether to continue a partial file with a Range request. It starts over if the
                server ignores the range. The file may have changed in between, so the caller checks
                the content. An attempt that makes progress does not count.

        Returns:
            None if `target` is complete, else the failure. An unexpected exception becomes a
            failure with status `error`.

        Raises:
            OSError: If the disk is full or a file cannot be read or written.
        """
        partial = target.with_name(f"{target.name}.partial")
        try:
            failure = await self._fetch_to(partial, url, max_bytes, resume)
        except Exception as error:
            if isinstance(error, MemoryError) or _is_of_this_machine(error):
                raise
            failure = Failure("error", f"{type(error).__name__}: {error}", is_final=False)
        if failure is None:
            partial.replace(target)
        elif failure.is_final or not resume:
            partial.unlink(missing_ok=True)
        return failure

    async def _fetch_to(
        self, partial: Path, url: str, max_bytes: int, resume: bool
    ) -> Failure | None:
        attempts_failed = 0
        while True:
            if not resume:
                partial.unlink(missing_ok=True)
            before = size_of(partial)
            try:
                await self._attempt(url, partial, max_bytes, resume)
            except FetchError as error:
                return error.failure
            except HostGivenUpError as error:
                failure = Failure("unreachable", str(error), is_final=False)
                if error.had_answered and not attempts_failed:
                    self.left[url] = failure.reason
                return failure
            except TransientError as error:
                got_on = resume and size_of(partial) >= before + PROGRESS_BYTES
                attempts_failed += error.is_of_file and not got_on
                if attempts_failed >= self._params.attempts:
                    return Failure("unreachable", str(error), is_final=False)
                if not error.is_host_paused:
                    pause = back_off_seconds(url, attempts_failed)
                    await sleep(min(pause, self._params.timeout_seconds))
            else:
                return None

    async def _attempt(self, url: str, partial: Path, max_bytes: int, resume: bool) -> None:
        """Follows redirects and reads the file."""
        parse(url)
        if isinstance(self._mirror, FolderMirror):
            return await _copy(self._mirror, url, partial, max_bytes)
        place = parse(self._mirror.place_of(url) if self._mirror else url)
        for hop in range(MAX_REDIRECTS + 1):
            async with self._hosts.turn(f"{place.raw_host}:{place.port}") as host:
                try:
                    redirect = await self._request(place, host, partial, max_bytes, resume)
                except FetchError as error:
                    raise FetchError(format_redirect(error.failure, place, hop)) from error
            if redirect is None:
                return None
            try:
                place = parse(redirect)
            except FetchError as error:
                raise FetchError(format_redirect(error.failure, None, hop + 1)) from error
        raise FetchError(
            Failure("unreachable", f"more than {MAX_REDIRECTS} redirects", is_final=False)
        )

    async def _request(
        self, url: URL, host: Host, partial: Path, max_bytes: int, resume: bool
    ) -> str | None:
        """Makes one request; returns the target of a redirect, or None if the file is complete."""
        start = size_of(partial)
        # A range counts bytes as sent, so a resumable file must come uncompressed.
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
                raise FetchError(private_address_failure(url)) from error
            host.note_silence()
            # A host that answered before gets more time: the file is not the cause.
            is_of_file = not host.had_answered or isinstance(error, aiohttp.ClientSSLError)
            raise TransientError(
                _format_connection_error(error), is_host_paused=True, is_of_file=is_of_file
            ) from error
        except TimeoutError as error:
            if self._resolver.is_looking_up(url.host):
                raise TransientError("the look-up of the host's name timed out") from error
            if not has_answered:
                host.note_silence()
            raise TransientError("timed out", is_host_paused=not has_answered) from error
        except (aiohttp.InvalidURL, UnicodeError) as error:  # a host that cannot be encoded
            raise FetchError(Failure("refused", "no valid URL", is_final=True)) from error
        except aiohttp.ClientResponseError as error:  # aiohttp cannot read it
            host.note_answer()
            reason = f"no valid HTTP, or headers longer than {_HEADER_BYTES} bytes"
            raise TransientError(reason) from error
        except (aiohttp.ClientError, ConnectionError, ssl.SSLError) as error:
            raise TransientError("the connection broke off") from error

    def _require_content(self, response: aiohttp.ClientResponse, host: Host) -> None:
        """Raises unless the response has a body."""
        status = response.status
        if status in {200, 206}:
            return
        from_whom = " from the mirror" if self._mirror is not None else ""
        reason = f"HTTP {status}{from_whom}"
        if status in _GONE:
            raise FetchError(Failure("not_found", reason, is_final=self._mirror is None))
        if status not in _TRY_LATER and status < 500:
            raise FetchError(Failure("unreachable", reason, is_final=False))
        pause = None
        if status in {429, 503}:
            pause = retry_after_seconds(response.headers.get("Retry-After"))
        if pause is not None:
            host.ask_to_pause(pause)
            if pause > self._params.longest_pause_seconds:
                reason += f", with a pause of {pause:.0f} s asked for"
                raise FetchError(Failure("unreachable", reason, is_final=False))
        raise TransientError(reason, is_host_paused=pause is not None)

    def _is_named(self, url: URL) -> bool:
        """Returns whether the host of `url` may have a private address."""
        if isinstance(self._mirror, UrlMirror):
            base = URL(self._mirror.base)
            if (url.host, url.port) == (base.host, base.port):
                return True
        return is_named(url, self._params.allowed_private_hosts)

    def _open_session(
        self, socket_factory: aiohttp.SocketFactoryType | None
    ) -> aiohttp.ClientSession:
        """Makes a session without cookies and without settings of the environment."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=_IDLE_SECONDS,
                resolver=self._resolver,
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
    source = mirror.find(url)
    if source is None:
        raise FetchError(Failure("not_found", "not in the mirror folder", is_final=False))
    if source.stat().st_size > max_bytes:
        raise too_long(max_bytes)
    await asyncio.to_thread(shutil.copyfile, source, partial)


def _is_of_this_machine(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in _OF_THIS_MACHINE


def _format_connection_error(error: aiohttp.ClientConnectorError) -> str:
    """Formats a failed connection, in the same words for every host."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host's name is not known"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "no secure connection"
    return "no connection"
