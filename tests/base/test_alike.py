"""Labels that look the same."""

import pytest

from imf_core.base.terminal import find_alike, show_alike


@pytest.mark.parametrize(
    "twin",
    [
        "S\u00e3o Tom\u00e9 ",
        " S\u00e3o Tom\u00e9",
        "Sa\u0303o Tome\u0301",
        "S\u00e3o\u00a0Tom\u00e9",
        "S\u00e3o  Tom\u00e9",
        "S\u00e3o \u200bTom\u00e9",
        "\ufeffS\u00e3o Tom\u00e9",
        "S\u00e3o To\u00adm\u00e9",
        "S\u00e3o Tom\u00e9\u200e",
        "S\u00e3o Tom\u00e9\x00",
        "\uff33\u00e3o Tom\u00e9",
        "S\u00e3o\u2003Tom\u00e9\ufe0f",
        "S\u00e3\u043e \u0422om\u00e9",
    ],
)
def test_labels_that_look_the_same_are_alike(twin: str) -> None:
    assert find_alike(["a", "S\u00e3o Tom\u00e9", twin, "b"]) == [["S\u00e3o Tom\u00e9", twin]]


@pytest.mark.parametrize("other", ["Sao Tome", "s\u00e3o tom\u00e9", "S\u00e3oTom\u00e9", ""])
def test_labels_that_look_different_are_not_alike(other: str) -> None:
    assert find_alike(["S\u00e3o Tom\u00e9", other]) == []


@pytest.mark.parametrize(
    ("label", "twin"), [("e05", "\u043505"), ("No\u00ebl", "No\u0451l"), ("IBM", "I\u0392M")]
)
def test_letters_of_two_scripts_in_a_word_are_alike(label: str, twin: str) -> None:
    assert find_alike([label, twin]) == [[label, twin]]


@pytest.mark.parametrize(
    ("label", "other"), [("CCCP", "\u0421\u0421\u0421\u0420"), ("A", "\u0391"), ("a", "\u0430")]
)
def test_words_of_one_script_are_not_alike(label: str, other: str) -> None:
    assert find_alike([label, other]) == []


@pytest.mark.parametrize("twin", ['"e5"', "'e5'", ' "e5" ', '" e5 "'])
def test_quotes_around_a_label_do_not_tell_it_apart(twin: str) -> None:
    assert find_alike(["e5", twin, '"', '""', "'e6\""]) == [["e5", twin]]


def test_three_labels_that_look_the_same_are_one_group() -> None:
    assert find_alike(["a", "a ", "b", "a\u200b"]) == [["a", "a ", "a\u200b"]]


def test_the_difference_between_labels_that_look_the_same_is_shown() -> None:
    assert show_alike(["e5", "e5 "]) == "'e5' and 'e5 '"
    assert show_alike(["\u00e9", "e\u0301"]) == r"'\xe9' and 'e\u0301'"
