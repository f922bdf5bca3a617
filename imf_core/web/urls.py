"""Checks of URLs that need no request, in one place.

In: untrusted URLs. Out: whether they are on the web, may be fetched, and their path in a mirror.
"""

import re
from urllib.parse import unquote

from yarl import URL

from imf_core.web.failures import Failure, FetchError

WEB_PATTERN = "^https?://"
"""Start of a source on the web, in letters of any case."""

_NO_URL = (ValueError, IndexError)
"""Raised by yarl; the second for misplaced brackets."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_HOSTS = re.compile(r"[\s\"<>\\^`{|}]|^[^:]*%")
"""A percent sign is allowed only before the zone of an IPv6 address."""
_RAW_BYTE = re.compile("[\udc80-\udcff]")
"""A byte of a header that is not UTF-8, as aiohttp decodes it."""


def is_url(source: str) -> bool:
    """Returns whether a source is on the web rather than in a folder."""
    return re.match(WEB_PATTERN, source, re.IGNORECASE) is not None


def parse(url: str) -> URL:
    """Parses and checks a URL before its host is resolved.

    Raises:
        FetchError: If it is invalid, has another scheme or contains a password.
    """
    try:
        parsed = URL(url)
        host, port = parsed.host, parsed.port
    except _NO_URL:
        host, port = None, None
    if host is None or "://" not in url or _CONTROL.search(url) or _NOT_IN_HOSTS.search(host):
        reason = "no valid URL"
    elif parsed.scheme not in {"http", "https"} or port is None:
        reason = "only http and https URLs are fetched"
    elif parsed.user is not None or parsed.password is not None:
        reason = "a URL with a user name or password is not fetched"
    else:
        return parsed
    raise FetchError(Failure("refused", reason, is_final=True))


def join(url: URL, location: str) -> str:
    """Returns the target of a Location header, relative to `url`."""
    location = _RAW_BYTE.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", location)
    if _CONTROL.search(location):
        return location  # `parse` refuses it
    try:
        return str(url.join(URL(location)))
    except _NO_URL:
        return location


def format_redirect(failure: Failure, place: URL | None, hop: int) -> Failure:
    """Adds the target of a redirect; None is an invalid URL, which may contain secrets."""
    if hop == 0:
        return failure
    where = "an address" if place is None else place
    return Failure(failure.status, f"redirected to {where}: {failure.reason}", failure.is_final)


def without_scheme(url: str) -> str:
    """`https://host/a.png?width=3#top` -> `host/a.png?width=3`."""
    return url.split("://", 1)[1].split("#", 1)[0]


def below_mirror(url: str) -> str:
    """Returns the path of `url` in a mirror.

    Raises:
        FetchError: If the path leads out of the mirror, also once a server has decoded it.
    """
    path = without_scheme(url)
    if path.startswith("/") or ".." in re.split(r"[/\\?]", unquote(path)):
        raise FetchError(Failure("refused", f"{url} leads out of the mirror", is_final=True))
    return path
