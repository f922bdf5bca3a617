"""Entities are found by label or name; errors name the nearest matches."""

import unicodedata

import pytest

from imf_core.base.errors import QuestionError
from imf_core.base.terminal import find_alike
from imf_core.inference.names import Names

NAMES = Names(
    "entity",
    ["country/NIC", "country/NER", "country/NGA", "city/Georgetown", "city/George_Town", "Iran"],
    ["Nicaragua", "Niger", "Nigeria", "George Town", "George Town", "Persia"],
)


@pytest.mark.parametrize("text", ["country/NIC", "Nicaragua", "nicaragua", " NICARAGUA "])
def test_a_label_or_a_name_finds_its_entity(text: str) -> None:
    assert NAMES.find(text) == 0


def test_a_label_comes_before_a_name() -> None:
    assert Names("entity", ["one", "two"], ["two", "one"]).find("two") == 1


def test_of_names_that_differ_in_case_the_one_written_alike_is_taken() -> None:
    names = Names("entity", ["a", "b"], ["Turkey", "turkey"])
    assert (names.find("Turkey"), names.find("turkey")) == (0, 1)
    with pytest.raises(QuestionError, match="2 entities are called 'TURKEY'"):
        names.find("TURKEY")


def test_a_name_of_several_is_refused_with_their_labels() -> None:
    with pytest.raises(QuestionError, match=r"label of one: 'city/Georgetown' .*'city/George_T"):
        NAMES.find("george town")


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(QuestionError, match=r"'Nigerria'; nearest are 'country/NGA' \(Nigeria\)"):
        NAMES.find("Nigerria")


def test_a_name_that_is_like_nothing_is_refused_with_examples() -> None:
    with pytest.raises(QuestionError, match="there are 6, such as 'country/NIC'"):
        NAMES.find("##")


@pytest.mark.parametrize("given", ["NFC", "NFD"])
@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("text", ["São Tomé", "Việt Nam", "한국"])
def test_a_text_finds_its_label_or_name_in_every_unicode_form(
    given: str, stored: str, text: str
) -> None:
    kept, asked = (unicodedata.normalize(form, text) for form in (stored, given))
    assert Names("entity", ["e1", kept], ["One", "Two"]).find(asked) == 1
    assert Names("entity", ["e1", "e2"], ["One", kept]).find(asked.lower()) == 1


def test_a_text_finds_its_label_without_regard_to_invisible_characters() -> None:
    names = Names("entity", ["e1", "Q42\u200b", "in\u00adner "], ["One", "Two", "Three"])
    assert names.find("Q42") == names.find("\ufeffQ42 ") == 1
    assert names.find("inner") == 2


TWINS = [
    "Caf\u00e9\u202e",
    "\uff23af\u00e9",
    "Ca\ufe0ffe\u0301",
    "Caf\u00e9\u3164",
    "Caf\u00e9\xa0",
]


@pytest.mark.parametrize("label", TWINS)
@pytest.mark.parametrize("asked", TWINS)
def test_a_text_finds_the_only_label_or_name_that_looks_like_it(label: str, asked: str) -> None:
    assert find_alike([label, "Caf\u00e9"]) == [[label, "Caf\u00e9"]]
    assert Names("entity", ["e1", label], ["One", "Two"]).find(asked) == 1
    assert Names("entity", ["e1", "e2"], ["One", label]).find(asked.upper()) == 1


def test_a_text_that_fits_two_labels_once_they_are_composed_is_refused() -> None:
    labels = [unicodedata.normalize(form, "Québec") for form in ("NFC", "NFD")]
    names = Names("entity", labels, ["a", "b"])
    assert [names.find(label) for label in labels] == [0, 1]
    with pytest.raises(QuestionError, match="2 entities are called"):
        names.find("Québec ")


@pytest.mark.parametrize("text", ["", "   ", "\u200b"])
def test_an_empty_text_finds_nothing(text: str) -> None:
    names = Names("entity", ["e1", "\u200b\u200b"], ["One", ""])
    with pytest.raises(QuestionError, match="the label or name of the entity is empty"):
        names.find(text)


def test_a_shared_name_is_shown_with_its_label() -> None:
    names = Names("entity", ["e0", "e1", "e2", "Bonn", "e4"], ["Same", "Same", "Bonn", "x", "e4"])
    shown = [names.show(label) for label in ["e0", "e1", "e2", "Bonn", "e4"]]
    assert shown == ["Same (e0)", "Same (e1)", "Bonn (e2)", "x", "e4"]
