"""The definition of invisible characters."""

import pytest

from imf_core.base.terminal import escaped, is_format, is_invisible, plain_form
from imf_core.wikimedia.api import clean_text

UNSEEN = ["\u00ad", "\u200b", "\u200e", "\u202e", "\u2060", "\ufeff", "\U000e0041", "\x00", "\x1b"]
SEEN = ["a", "\u00e9", "\u6771", "\u0600", "\u06dd", "\u0301", " ", "\t", "\n", "\xa0"]


@pytest.mark.parametrize("character", UNSEEN)
def test_a_format_character_is_invisible_escaped_and_no_part_of_a_text(character: str) -> None:
    assert is_format(character)
    assert is_invisible(character)
    assert escaped(character) != character
    assert clean_text(f"a{character}", 9) == plain_form(f"a{character}") == "a"


@pytest.mark.parametrize("character", SEEN)
def test_a_character_that_is_seen_or_separates_words_is_not_invisible(character: str) -> None:
    assert not is_invisible(character)
    assert escaped(character) == character


@pytest.mark.parametrize("character", ["\u200c", "\u200d", "\ufe0f", "\U000e0100", "\u3164"])
def test_what_belongs_to_the_spelling_is_ignored_in_comparisons_alone(character: str) -> None:
    assert is_invisible(character)
    assert plain_form(f"a{character}b") == "ab"
    assert clean_text(f"a{character}b", 9) == f"a{character}b"


@pytest.mark.parametrize("text", ["a  b ", "\ufb01n", "\uff21", "e\u0301", "a\u200bb", "\u0600"])
def test_a_plain_form_stays_as_it_is(text: str) -> None:
    assert plain_form(plain_form(text)) == plain_form(text)
