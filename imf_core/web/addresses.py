"""Allows connections to public addresses, and to hosts that the user names.

Graphs and redirects are untrusted input: a URL may name, directly or through DNS, a machine of the
local network. The check runs when a socket is made for a resolved address, so no spelling of a host
avoids it.
"""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from yarl import URL

from imf_core.web.failures import Failure

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
