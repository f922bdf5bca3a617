"""Untrusted texts."""

import pytest

from imf_core.wikimedia.api import clean_text, text_of_html


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\x00b\r\n c\u2028d\x1b[0m", "a b c d [0m"),
        ("left \u202eright\u2066\ufeff", "left right"),
        ("half \ud800pair", "half pair"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("  ", ""),
    ],
)
def test_what_does_not_belong_into_a_text_is_dropped(text: str, cleaned: str) -> None:
    assert clean_text(text, 100) == cleaned


def test_a_text_is_cut_to_its_bound() -> None:
    assert clean_text("word " * 1000, 2000) == ("word " * 400).strip()


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('<a href="//x.org/wiki/User:A" title="User:A">Ann &amp; Bo</a>', "Ann & Bo"),
        (
            "<bdi>Unknown</bdi><span style='display: none;'>Un<b>kno</b>wn<br></span> author",
            "Unknown author",
        ),
        ("one<br>two<div>three</div>", "one two three"),
        ("a<script>alert(1)</script>b<style>p{}</style>", "ab"),
        ("<p><p></b>never closed", "never closed"),
        ("plain", "plain"),
    ],
)
def test_markup_becomes_what_a_reader_sees(html: str, text: str) -> None:
    assert text_of_html(html, 100) == text
