"""Checks of URLs and addresses before a request, and the place of a URL in a mirror.

URLs come from the user's graph and from redirects: both are untrusted and may name, directly or
through DNS, a machine that only this one can reach. The address check runs where a socket is made
for a resolved address, so no spelling of a host gets around it.
"""

import re
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from yarl import URL

from imf_core.base.errors import ConfigError
from imf_core.web.responses import Failure, FetchError

_NO_URL = (ValueError, IndexError)
"""Raised by yarl; the second for misplaced brackets."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_HOSTS = re.compile(r"[\s\"<>\\^`{|}]|^[^:]*%")
"""A percent sign is allowed only before the zone of an IPv6 address."""
_RAW_BYTE = re.compile("[\udc80-\udcff]")
"""A byte of a header that is not UTF-8, as aiohttp decodes it."""


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


_NAT64 = IPv6Network("64:ff9b::/96")


class PrivateAddressError(OSError):
    """A connection to an address that is not public was refused.

    The message has no address: aiohttp merges the errors of a name's addresses only if equal.
    """


def is_public(address: str) -> bool:
    """Returns whether an IP address belongs to the public internet.

    Private, loopback, link-local, multicast, reserved and unspecified addresses do not, nor do IPv6
    addresses that carry such an IPv4 address (mapped, 6to4, Teredo, NAT64).
    """
    parsed = ip_address(address.split("%", 1)[0])
    for each in _targets(parsed):
        if not each.is_global or each.is_multicast or each.is_reserved:
            return False
        if isinstance(each, IPv6Address) and each.is_site_local:  # the old private range
            return False
    return True


def public_socket(address_info: tuple[Any, ...]) -> socket.socket:
    """Makes the socket of a resolved address for aiohttp's connector.

    Raises:
        PrivateAddressError: If the address is not public.
    """
    family, kind, protocol, _, address = address_info
    if not is_public(address[0]):
        raise PrivateAddressError("not a public address")
    return socket.socket(family, kind, protocol)


def private_address_failure(url: URL) -> Failure:
    """Makes the failure of a private address; it is not final for a name, which DNS may change."""
    try:
        ip_address((url.host or "").split("%", 1)[0])
        is_final = True
    except ValueError:
        is_final = False
    reason = (
        f"{url.raw_host} is not a public address; fetch.allowed_private_hosts may name its host"
    )
    return Failure("refused", reason, is_final)


def is_named(url: URL, allowed: Sequence[str]) -> bool:
    """Returns whether `allowed` contains the host of `url`, as `host` or as `host:port`."""
    host = f"[{url.host}]" if ":" in (url.host or "") else url.host
    names = {name.lower() for name in allowed}
    return not names.isdisjoint({url.host, host, f"{host}:{url.port}"})


def _targets(address: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    """Returns the address and the IPv4 addresses embedded in it."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in _NAT64:
        return [IPv4Address(int(address) & 0xFFFFFFFF)]
    inner = [address.sixtofour, *(address.teredo or ())]
    return [address, *(each for each in inner if each is not None)]


class FolderMirror:
    """A mirror on disk; the file's name includes the URL's query."""

    def __init__(self, folder: Path) -> None:
        """Checks that the folder exists.

        Raises:
            ConfigError: If it does not.
        """
        if not folder.is_dir():
            raise ConfigError(
                f"the mirror {folder} is no directory; set IMF_MIRROR to a directory or base URL "
                "that holds every file at its URL without the scheme, or unset it"
            )
        self._folder = folder

    def find(self, url: str) -> Path | None:
        """Returns the file of `url`, None if there is none.

        Raises:
            FetchError: If the URL's path leads out of the mirror.
        """
        path = self._folder / below_mirror(url)
        try:
            return path if path.is_file() else None
        except OSError:  # a name too long for the file system
            return None


class UrlMirror:
    """A mirror on the web."""

    def __init__(self, base: str) -> None:
        """Checks the URL.

        Raises:
            ConfigError: If `base` is no http(s) URL.
        """
        try:
            parse(base)
        except FetchError:
            raise ConfigError(
                f"the mirror {base} is neither a directory nor an http(s) URL; correct IMF_MIRROR"
            ) from None
        self.base = base.rstrip("/")

    def place_of(self, url: str) -> str:
        """Returns the URL of `url` on the mirror.

        Raises:
            FetchError: If the URL's path leads out of the mirror.
        """
        return f"{self.base}/{below_mirror(url)}"


def make_mirror(mirror: str | None) -> FolderMirror | UrlMirror | None:
    """Makes a mirror from the value of IMF_MIRROR; None means the web.

    Raises:
        ConfigError: If it is neither a directory nor an http(s) URL, or may contain a secret.
    """
    if mirror is None:
        return None
    if re.search("[@?#]", mirror) and not Path(mirror).is_dir():
        raise ConfigError(
            "IMF_MIRROR holds an @, ? or #, and is not shown here since it may hold a password; "
            "a mirror is a directory or a base URL without user name, password, query and "
            "fragment; let a proxy on this machine add them"
        )
    return UrlMirror(mirror) if "://" in mirror else FolderMirror(Path(mirror))
