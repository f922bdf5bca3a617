"""The search while one types: order, accents, words and bounds."""

import numpy as np
import pytest

from imf_core.serve.search import SearchIndex, fold

NAMES = [
    "Côte d'Ivoire",
    "Ivory Coast",
    "New York City",
    "York",
    "New Yorkshire",
    "İstanbul",
    "日本",
]
LABELS = ["country/CIV", "http://example.org/Ivory_Coast", "city/NYC", "city/York", "x", "y", "z"]
WEIGHTS = np.array([5, 4, 9, 1, 2, 3, 6])


@pytest.fixture(scope="module")
def index() -> SearchIndex:
    return SearchIndex(LABELS, NAMES, WEIGHTS)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("York", [3, 2, 4]),  # the exact name first, then words by weight
        ("new y", [2, 4]),
        ("york new", [2, 4]),
        ("cote d", [0]),
        ("CÔTE", [0]),
        ("ivo", [1, 0]),  # a name that begins so comes before a word
        ("city/", [2, 3]),
        ("istan", [5]),
        ("日", [6]),
        ("nothing", []),
        ("<>", []),
    ],
)
def test_names_then_beginnings_then_words_are_found(
    text: str, found: list[int], index: SearchIndex
) -> None:
    assert index.find(text, 10) == found


def test_without_a_text_those_of_most_weight_come(index: SearchIndex) -> None:
    assert index.find("", 3) == [2, 6, 0]


def test_no_more_than_the_limit_is_found_and_the_best_are_kept() -> None:
    names = [f"name {number}" for number in range(5000)]
    index = SearchIndex(names, names, np.arange(5000))
    assert index.find("name", 3) == [4999, 4998, 4997]
    assert index.find("name 42", 3) == [42, 4299, 4298]


def test_folding_drops_case_accents_and_invisible_characters() -> None:
    assert fold("  ÉCOLE\u200b  Nationale ") == "ecole nationale"
