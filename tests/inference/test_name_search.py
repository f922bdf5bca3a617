"""Entities are found by label or name, and what is not found is answered with what is near."""

import pytest

from imf_core.errors import QuestionError
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
