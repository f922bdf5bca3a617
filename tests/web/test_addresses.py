import socket

import pytest
from yarl import URL

from imf_core.web.urls import PrivateAddressError, is_named, is_public, public_socket


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_an_address_of_the_public_internet_may_be_asked(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "198.18.0.1",
        "192.0.2.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
    ],
)
def test_any_other_address_may_not_be_asked(address: str) -> None:
    assert not is_public(address)


def test_a_socket_is_made_for_a_public_address_alone() -> None:
    stream = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
    public_socket((*stream, ("8.8.8.8", 80))).close()
    with pytest.raises(PrivateAddressError, match="not a public address"):
        public_socket((*stream, ("10.0.0.1", 80)))


@pytest.mark.parametrize(
    ("url", "allowed", "expected"),
    [
        ("http://intranet/a", ["intranet"], True),
        ("http://INTRANET/a", ["Intranet"], True),
        ("http://intranet:81/a", ["intranet:81"], True),
        ("http://intranet/a", ["intranet:80"], True),
        ("https://intranet/a", ["intranet:80"], False),
        ("http://intranet.example/a", ["intranet"], False),
        ("http://[::1]:81/a", ["[::1]:81"], True),
        ("http://[::1]:81/a", ["::1"], True),
        ("http://127.0.0.1/a", [], False),
    ],
)
def test_a_host_is_named_alone_or_with_its_port(
    url: str, allowed: list[str], expected: bool
) -> None:
    assert is_named(URL(url), allowed) is expected
