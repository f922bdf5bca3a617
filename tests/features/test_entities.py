from collections.abc import Callable

import pytest
from feature_inputs import Workspace

from imf_core.base.artifacts import read_parquet, write_parquet
from imf_core.base.errors import DataError
from imf_core.graph.entities import entity_text, read_entity_texts


@pytest.mark.parametrize(
    ("label", "name", "description", "text"),
    [
        ("/m/01", "Oslo", "A city.", "Oslo. A city."),
        ("/m/01", "Oslo", "", "Oslo"),
        ("/m/01", "Washington, D.C.", "A city.", "Washington, D.C. A city."),
        ("Oslo", "Oslo", "A city.", "Oslo. A city."),
        ("/m/01", " ", "A city.", "A city."),
        ("/m/01", "/m/01", "  ", ""),
        ("Oslo", "Oslo", "", ""),
    ],
)
def test_name_and_description_are_joined_and_a_bare_label_is_no_text(
    label: str, name: str, description: str, text: str
) -> None:
    assert entity_text(label, name, description) == text


GRAPH = [
    ("Q1", "Q1", ""),
    ("Q2", "two", "my words"),
    ("Q3", "three", ""),
    ("Q4", "Q4", "my words"),
    ("Q5", "Q5", ""),
]


def test_looked_up_texts_stand_in_where_the_graph_says_nothing(
    workspace: Callable[..., Workspace],
) -> None:
    place = workspace(GRAPH)
    place.look_up(
        [
            (0, "first", "one"),
            (1, "second", "another two"),
            (2, "third", None),
            (3, "", "four"),
            (4, "", "five"),
        ]
    )
    assert read_entity_texts(place.entities, place.looked_up).texts == [
        "one. first",
        "two. my words",
        "three. third",
        "four. my words",
        "five",
    ]


def test_without_them_the_texts_are_those_of_the_graph(workspace: Callable[..., Workspace]) -> None:
    place = workspace(GRAPH)
    place.look_up([(0, "first", "one")])
    assert read_entity_texts(place.entities).texts[0] == ""


def test_texts_looked_up_for_another_graph_are_refused(workspace: Callable[..., Workspace]) -> None:
    place = workspace(GRAPH)
    other = place.root / "media/other.parquet"
    columns = read_parquet(place.looked_up)
    write_parquet(other, columns, {"graph_fingerprint": "another"})
    with pytest.raises(DataError, match="belongs to another graph"):
        read_entity_texts(place.entities, other)
