"""Graphs in the formats of the registry."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imf_core.base.errors import DataError
from imf_core.prepare.source import read_id_graph, read_spaced_graph, read_wikidata_json

MakeFolder = Callable[..., Path]


def test_spaced_labels_are_sorted_where_no_ids_are_given(make_folder: MakeFolder) -> None:
    raw = make_folder({"train.txt": "b r a\nc q b\n", "test.txt": "a r c\n"})
    graph = read_spaced_graph(raw)
    assert (graph.entity_labels, graph.relation_labels) == (["a", "b", "c"], ["q", "r"])
    np.testing.assert_array_equal(graph.facts["train"], [[1, 1, 0], [2, 0, 1]])
    np.testing.assert_array_equal(graph.facts["test"], [[0, 1, 2]])


def test_spaced_labels_keep_the_ids_they_are_given(make_folder: MakeFolder) -> None:
    ids = {"entity2id.txt": "<z> 0\n<b> 1\n<a> 2\n", "relation2id.txt": "<r> 0\n"}
    raw = make_folder({"train.txt": "<a> <r> <b> .\n", **ids})
    graph = read_spaced_graph(raw)
    assert graph.entity_labels == ["<z>", "<b>", "<a>"]
    np.testing.assert_array_equal(graph.facts["train"], [[2, 0, 1]])


def test_a_spaced_label_without_an_id_is_named(make_folder: MakeFolder) -> None:
    raw = make_folder({"train.txt": "a r b\n", "entity2id.txt": "a 0\n"})
    with pytest.raises(DataError, match=r"entity2id\.txt gives no id to 1 labels .* 'b'"):
        read_spaced_graph(raw)


@pytest.mark.parametrize(("columns", "line"), [("hrt", "1 0 2"), ("htr", "1 2 0")])
def test_ids_stay_as_they_are_in_both_orders(
    make_folder: MakeFolder, columns: str, line: str
) -> None:
    ids = {"entity2id.txt": "3\na 0\nb 1\nc 2\n", "relation2id.txt": "1\nr 0\n"}
    graph = read_id_graph(make_folder({"train.txt": f"1\n{line}\n", **ids}), columns)
    assert graph.entity_labels == ["a", "b", "c"]
    np.testing.assert_array_equal(graph.facts["train"], [[1, 0, 2]])


def test_relations_may_be_a_plain_list(make_folder: MakeFolder) -> None:
    files = {"train.txt": "0 1 1\n", "entity2id.txt": "a 0\nb 1\n", "relations.txt": "0\n1\n"}
    assert read_id_graph(make_folder(files), "hrt").relation_labels == ["0", "1"]


def test_texts_come_out_of_wikidata_objects(tmp_path: Path) -> None:
    path = tmp_path / "texts.json"
    path.write_text(
        '{"b": {"label": "B", "description": "one\\ntwo"}, "x": {}, "a": {"label": null}}'
    )
    names, descriptions = read_wikidata_json(path, ["a", "b", "c"])
    assert (names.texts, names.unknown) == (["", "B", ""], ("x",))
    assert descriptions.texts == ["", "one two", ""]


@pytest.mark.parametrize("content", ["[]", '{"a": "text"}'])
def test_other_json_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "texts.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"texts\.json must map each label to an object"):
        read_wikidata_json(path, ["a"])
