"""What can be seen of a URL before anyone is asked: one answer for every place that asks.

In: URLs as untrusted as the graph or the redirect that names them. Out: whether they lie on the
web, may be asked for, and where a mirror holds them.
"""

import re
from urllib.parse import unquote

from yarl import URL

from imf_core.web.faults import Fault, FaultError

WEB_PATTERN = "^https?://"
"""How a source on the web begins, in letters of any size."""

_NO_URL = (ValueError, IndexError)
"""Raised by yarl; the second where brackets stand at odd places."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_HOSTS = re.compile(r"[\s\"<>\\^`{|}]|^[^:]*%")
"""A percent sign begins the zone of an IPv6 address, and nothing else."""
_RAW_BYTE = re.compile("[\udc80-\udcff]")
"""A byte of a header that is no UTF-8, as aiohttp hands it over."""


def is_url(source: str) -> bool:
    """Says whether a source is to be fetched from the web rather than read from a folder."""
    return re.match(WEB_PATTERN, source, re.IGNORECASE) is not None


def parse(url: str) -> URL:
    """Checks what can be seen of a URL before its host is looked up.

    Raises:
        FaultError: If it is none, of another scheme, or holds a password.
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
    raise FaultError(Fault("refused", reason, is_final=True))


def join(url: URL, location: str) -> str:
    """Returns where a Location header points to, seen from `url`."""
    location = _RAW_BYTE.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", location)
    if _CONTROL.search(location):
        return location  # refused as no valid URL
    try:
        return str(url.join(URL(location)))
    except _NO_URL:
        return location


def worded(fault: Fault, place: URL | None, hop: int) -> Fault:
    """Adds where a redirect led to; None is no URL, which may hold secrets in any place."""
    if hop == 0:
        return fault
    where = "an address" if place is None else place
    return Fault(fault.status, f"redirected to {where}: {fault.reason}", fault.is_final)


def without_scheme(url: str) -> str:
    """`https://host/a.png?width=3#top` -> `host/a.png?width=3`."""
    return url.split("://", 1)[1].split("#", 1)[0]


def below_mirror(url: str) -> str:
    """Returns the path at which a mirror holds `url`.

    Raises:
        FaultError: If the path leads out of the mirror, also once a server has decoded it.
    """
    path = without_scheme(url)
    if path.startswith("/") or ".." in re.split(r"[/\\?]", unquote(path)):
        raise FaultError(Fault("refused", f"{url} leads out of the mirror", is_final=True))
    return path
