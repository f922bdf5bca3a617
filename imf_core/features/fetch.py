"""Fetches pictures from the web, politely and only once.

Every file is stored under the hash of its URL, so that a run after a failure or a kill fetches
only what is missing. At most four requests are under way; a server that asks for a pause gets it
within the time-out; a host that does not answer at all is left alone for the rest of the run.
"""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import requests

from imf_core.artifacts import write_bytes
from imf_core.media.images import RejectedImage

USER_AGENT = "imf/0.1 (multimodal knowledge-graph completion; python-requests)"
CONCURRENT_REQUESTS = 4
ATTEMPTS = 3
RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
SILENT_HOST_FAILURES = 8
_BLOCK_BYTES = 1 << 16


class _PauseError(Exception):
    """The server asked to come back later; `seconds` is None where it did not say when."""

    def __init__(self, detail: str, seconds: float | None) -> None:
        super().__init__(detail)
        self.seconds = seconds


class ImageFetcher:
    """Turns a URL into bytes; safe to call from many threads. Use it as a context manager."""

    def __init__(
        self,
        store: Path,
        *,
        timeout_seconds: float,
        max_bytes: int,
        mirror: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepares to fetch; opens no connection.

        Args:
            store: Folder that keeps what was fetched.
            timeout_seconds: For connecting, for one whole transfer, and for a pause asked for.
            max_bytes: A longer file is given up.
            mirror: Folder or base URL that holds the files at their URL without its scheme, to be
                used in place of the web.
            sleep: Waits so many seconds.
        """
        self._store = store
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes
        self._mirror = mirror
        self._sleep = sleep
        self._session = requests.Session()
        self._session.headers["User-Agent"] = USER_AGENT
        self._slots = threading.BoundedSemaphore(CONCURRENT_REQUESTS)
        self._url_locks = [threading.Lock() for _ in range(256)]
        self._silent: Counter[str] = Counter()

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the connections."""
        self._session.close()

    def fetch(self, url: str) -> bytes | RejectedImage:
        """Returns the bytes at an http(s) URL, from the store where they are already there."""
        name = hashlib.sha256(url.encode("utf-8")).hexdigest()
        stored = self._store / name
        with self._url_locks[int(name[:2], 16)]:
            if stored.is_file():
                return stored.read_bytes()
            if self._mirror is not None and "://" not in self._mirror:
                return self._read_mirror(Path(self._mirror), url)
            with self._slots:
                content = self._fetch_with_retries(url)
            if isinstance(content, bytes):
                write_bytes(stored, content)
            return content

    def _read_mirror(self, folder: Path, url: str) -> bytes | RejectedImage:
        """Reads the file that stands for `url` in a mirror folder."""
        relative = Path(_without_scheme(url))
        if ".." in relative.parts:
            return RejectedImage("unreachable", "a URL with .. is not looked up in the mirror")
        path = folder / relative
        if not path.is_file():
            return RejectedImage("unreachable", "not in the mirror folder")
        if path.stat().st_size > self._max_bytes:
            return _too_long(self._max_bytes)
        return path.read_bytes()

    def _fetch_with_retries(self, url: str) -> bytes | RejectedImage:
        """Asks up to `ATTEMPTS` times, pausing as the server wishes or 1 s, 2 s."""
        target = (
            url if self._mirror is None else f"{self._mirror.rstrip('/')}/{_without_scheme(url)}"
        )
        try:
            host = urlsplit(target).netloc
        except ValueError:
            return RejectedImage("unreachable", "no valid URL")
        detail = ""
        for attempt in range(ATTEMPTS):
            if self._silent[host] >= SILENT_HOST_FAILURES:
                return RejectedImage("unreachable", f"{host} did not answer, given up for this run")
            pause: float | None = None
            try:
                content = self._fetch_once(target)
            except _PauseError as error:
                self._silent[host] = 0
                detail, pause = str(error), error.seconds
            except (requests.ConnectionError, requests.Timeout, TimeoutError) as error:
                self._silent[host] += 1
                detail = type(error).__name__
            except (requests.RequestException, ValueError) as error:  # a URL that is none, ...
                return RejectedImage("unreachable", type(error).__name__)
            else:
                self._silent[host] = 0
                return content
            seconds = float(2**attempt) if pause is None else pause
            if seconds > self._timeout_seconds or attempt == ATTEMPTS - 1:
                break
            self._sleep(seconds)
        return RejectedImage("unreachable", detail)

    def _fetch_once(self, url: str) -> bytes | RejectedImage:
        """One request; stops reading at the size limit and at the time-out."""
        deadline = time.monotonic() + self._timeout_seconds
        with self._session.get(url, stream=True, timeout=self._timeout_seconds) as response:
            if response.status_code in RETRIED_STATUSES:
                wait = _retry_after_seconds(response.headers.get("Retry-After"))
                raise _PauseError(f"HTTP {response.status_code}", wait)
            if response.status_code != requests.codes.ok:
                return RejectedImage("unreachable", f"HTTP {response.status_code}")
            content = bytearray()
            for block in response.iter_content(_BLOCK_BYTES):
                content += block
                if len(content) > self._max_bytes:
                    return _too_long(self._max_bytes)
                if time.monotonic() > deadline:
                    raise TimeoutError
            return bytes(content)


def _too_long(max_bytes: int) -> RejectedImage:
    return RejectedImage("too_many_bytes", f"more than {max_bytes} bytes")


def _without_scheme(url: str) -> str:
    """`https://host/a.png?width=3` -> `host/a.png?width=3`."""
    return url.split("://", 1)[1].split("#", 1)[0]


def _retry_after_seconds(header: str | None) -> float | None:
    """Reads a Retry-After header: seconds, or a date."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
