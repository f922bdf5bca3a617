"""Texts of servers are cleaned in one place: no header raises, no reason does harm."""

from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imf_core.web.responses import (
    MAX_REASON_CHARACTERS,
    Failure,
    FetchError,
    plain_reason,
    retry_after_seconds,
)
from imf_core.web.urls import join, parse

ANY_TEXT = st.text(st.characters(exclude_categories=()))


def is_plain(reason: str) -> bool:
    is_printable = reason.isascii() and (reason.isprintable() or not reason)
    return is_printable and len(reason) <= MAX_REASON_CHARACTERS


@pytest.mark.parametrize(
    "header",
    [
        *("", "-5", "1e9", "nan", "inf", "soon", "\udcff", "٣", "1 2"),
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 0001 00:00:00 +9999",
        "Mon, 31 Dec 9999 23:59:59 -2359",
    ],
)
def test_an_odd_retry_after_is_a_number_of_seconds_or_nothing(header: str) -> None:
    seconds = retry_after_seconds(header)
    assert seconds is None or 0 <= seconds <= 1e12


def test_a_pause_may_be_a_fraction_and_has_a_bound() -> None:
    assert retry_after_seconds("1.5") == 1.5
    assert retry_after_seconds("9" * 5_000) == 1e9


@settings(max_examples=100, deadline=None)
@example("Mon, 01 Jan 99999999999999999999 00:00:00 GMT")
@given(
    ANY_TEXT
    | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,20} \d\d:\d\d:\d\d [+-]?\w*\Z")
    | st.datetimes().map(lambda moment: format_datetime(moment.replace(tzinfo=UTC), usegmt=True))
)
def test_no_retry_after_raises(header: str) -> None:
    seconds = retry_after_seconds(header)
    assert seconds is None or 0 <= seconds < float("inf")


def test_a_date_is_the_time_until_then() -> None:
    assert retry_after_seconds(format_datetime(datetime(1990, 1, 1, tzinfo=UTC))) == 0


@settings(max_examples=300, deadline=None)
@example("http://b.c&][x@")
@example("http://\udcff\udcfe/")
@example("http://xn--/")
@given(ANY_TEXT | st.text(":/@?#[]%.\\ \x1b\udce9é東a1"))
def test_every_location_is_a_plain_url_or_refused(location: str) -> None:
    for text in (location, f"http://{location}"):
        with suppress(FetchError):
            place = parse(join(parse("http://example.org/x?y=1"), text))
            assert str(place).isascii()
            assert str(place).isprintable()
            assert place.raw_host


@settings(max_examples=300, deadline=None)
@given(ANY_TEXT)
def test_every_reason_is_plain(text: str) -> None:
    once = Failure("unreachable", text, is_final=False).reason
    assert is_plain(once)
    assert plain_reason(once) == once


def test_a_reason_is_cut_and_keeps_its_words() -> None:
    assert plain_reason("é" + "x" * 1_000) == "\\xe9" + "x" * 293 + "..."
    assert plain_reason("no\r\nconnection\x1b") == "no connection\\x1b"
    long = plain_reason(f"redirected to http://a/{'b' * 1_000}?c: no connection")
    assert long.endswith("bbb...: no connection")


@pytest.mark.parametrize("filler", [")", ":;,.'", "?", "#", "@", "/", "http://", "a?", "x@", " "])
def test_a_reason_of_a_megabyte_is_made_plain_in_one_pass(filler: str) -> None:
    # More than linear time would end in the timeout of the tests.
    long = filler * (1_000_000 // len(filler))
    for start in ("", "redirected to http://a/?", "redirected to http://a"):
        assert is_plain(plain_reason(f"{start}{long}x y"))


@pytest.mark.parametrize(
    ("reason", "plain"),
    [
        ("redirected to http://a/b?token=x: gone", "redirected to http://a/b: gone"),
        ("see https://me:pw@a/b#x.", "see https://a/b."),
        ("'HTTP://me@a:80/b?c'", "'HTTP://a:80/b'"),
        ("http://a/@b/c.png", "http://a/@b/c.png"),
        ("(http://me:p@w@a?b=c#d), gone", "(http://a), gone"),
        (f"http://me:{'x' * 5_000}@a/b", "http://a/b"),
    ],
)
def test_a_url_in_a_reason_loses_what_may_be_secret(reason: str, plain: str) -> None:
    assert plain_reason(reason) == plain
