"""Which addresses may be asked: public ones, and those that the user names.

A user's graph is untrusted input, and so is a redirect: a URL may name, directly or through DNS, a
machine that only this one can reach. The check sits where a socket is made for an address already
resolved, so that no spelling of a host gets around it.
"""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from yarl import URL

from imf_core.web.faults import Fault

_NAT64 = IPv6Network("64:ff9b::/96")


class PrivateAddressError(OSError):
    """A connection to an address that is not public was refused.

    It names no address: a name may have several, and only equal errors come through as one.
    """


def is_public(address: str) -> bool:
    """Says whether an IP address is one of the public internet, and so is any it stands for.

    Private, loopback, link-local, multicast, reserved and unspecified addresses are not; nor is
    an IPv6 address that carries such an IPv4 address (mapped, 6to4, Teredo, NAT64).
    """
    parsed = ip_address(address.split("%", 1)[0])
    for each in _meant_by(parsed):
        if not each.is_global or each.is_multicast or each.is_reserved:
            return False
        if isinstance(each, IPv6Address) and each.is_site_local:  # the old private range
            return False
    return True


def public_socket(address_info: tuple[Any, ...]) -> socket.socket:
    """Makes the socket for a resolved address, as aiohttp's connector asks for it.

    Raises:
        PrivateAddressError: If the address is not public.
    """
    family, kind, protocol, _, address = address_info
    if not is_public(address[0]):
        raise PrivateAddressError("not a public address")
    return socket.socket(family, kind, protocol)


def refused(url: URL) -> Fault:
    """Makes the fault of a private address; that of a name may be another one tomorrow."""
    try:
        ip_address((url.host or "").split("%", 1)[0])
        is_final = True
    except ValueError:
        is_final = False
    reason = (
        f"{url.raw_host} is not a public address; fetch.allowed_private_hosts may name its host"
    )
    return Fault("refused", reason, is_final)


def is_named(url: URL, allowed: Sequence[str]) -> bool:
    """Says whether `allowed` holds the host of `url`, as `host` or as `host:port`."""
    host = f"[{url.host}]" if ":" in (url.host or "") else url.host
    names = {name.lower() for name in allowed}
    return not names.isdisjoint({url.host, host, f"{host}:{url.port}"})


def _meant_by(address: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    """Returns the address that packets would go to in the end, as far as it can be told."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in _NAT64:
        return [IPv4Address(int(address) & 0xFFFFFFFF)]
    inner = [address.sixtofour, *(address.teredo or ())]
    return [address, *(each for each in inner if each is not None)]
