"""The prepared graph as files."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from imf_core.base.artifacts import file_sha256
from imf_core.base.errors import DataError
from imf_core.graph.entities import require_fingerprint
from imf_core.graph.graph import Graph, load_graph
from imf_core.graph.labels import SPLITS, save_graph


@pytest.fixture
def graph() -> Graph:
    return Graph(
        entity_labels=["a", "b", "ç"],
        entity_names=["A", "B", "Ç"],
        entity_descriptions=["first", "", "third\u2028line"],
        relation_labels=["r", "s"],
        relation_names=["is", "has"],
        triples={
            "train": torch.tensor([[2, 1, 0], [0, 0, 1]]),
            "valid": torch.tensor([[1, 0, 2]]),
            "test": torch.empty((0, 3), dtype=torch.long),
        },
    )


def test_a_saved_graph_is_loaded_unchanged(graph: Graph, tmp_path: Path) -> None:
    save_graph(graph, graph.facts, tmp_path)
    loaded = load_graph(tmp_path)
    for split in SPLITS:
        assert torch.equal(loaded.triples[split], graph.triples[split])
        assert loaded.triples[split].dtype == torch.long
    assert replace(loaded, triples={}, decided={}) == replace(graph, triples={}, decided={})


def test_a_graph_is_saved_with_the_same_bytes_each_time(graph: Graph, tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_graph(graph, graph.facts, tmp_path / name)
    for file in ("entities.parquet", "relations.parquet", "triples.parquet"):
        assert file_sha256(tmp_path / "one" / file) == file_sha256(tmp_path / "two" / file)


def test_the_numbers_of_entities_and_relations_are_those_of_the_labels(graph: Graph) -> None:
    assert (graph.num_entities, graph.num_relations) == (3, 2)


def test_the_fingerprint_changes_with_the_order_of_labels(graph: Graph) -> None:
    assert graph.fingerprint != replace(graph, entity_labels=["b", "a", "ç"]).fingerprint


def test_the_fingerprint_changes_when_a_label_moves_from_entities_to_relations(
    graph: Graph,
) -> None:
    moved = replace(graph, entity_labels=["a", "b"], relation_labels=["ç", "r", "s"])
    assert graph.fingerprint != moved.fingerprint


def test_the_fingerprint_does_not_depend_on_names_and_facts(graph: Graph) -> None:
    renamed = replace(graph, entity_names=["X", "Y", "Z"], triples={})
    assert graph.fingerprint == renamed.fingerprint


def test_each_fact_counts_in_the_digest_of_its_split_alone(graph: Graph) -> None:
    other = torch.tensor([[0, 1, 2]])
    tested = replace(graph, triples={**graph.triples, "test": other})
    assert tested.facts_digest == graph.facts_digest
    assert tested.test_digest != graph.test_digest
    selected = replace(graph, triples={**graph.triples, "valid": other})
    assert selected.facts_digest != graph.facts_digest
    assert selected.test_digest == graph.test_digest


def test_files_of_two_graphs_in_one_folder_are_refused(graph: Graph, tmp_path: Path) -> None:
    save_graph(graph, graph.facts, tmp_path)
    save_graph(
        replace(graph, relation_labels=["r", "t"]),
        replace(graph, relation_labels=["r", "t"]).facts,
        tmp_path / "other",
    )
    (tmp_path / "other" / "triples.parquet").rename(tmp_path / "triples.parquet")
    with pytest.raises(DataError, match=r"triples\.parquet belongs to another graph"):
        load_graph(tmp_path)


def test_a_file_of_another_graph_is_refused(graph: Graph, tmp_path: Path) -> None:
    save_graph(graph, graph.facts, tmp_path)
    with pytest.raises(DataError, match="belongs to another graph"):
        require_fingerprint(tmp_path / "entities.parquet", "0" * 64)


def test_a_missing_file_is_named(graph: Graph, tmp_path: Path) -> None:
    save_graph(graph, graph.facts, tmp_path)
    (tmp_path / "relations.parquet").unlink()
    with pytest.raises(DataError, match=r"relations\.parquet is missing; run `dvc repro`"):
        load_graph(tmp_path)


def test_a_truncated_file_is_named(graph: Graph, tmp_path: Path) -> None:
    save_graph(graph, graph.facts, tmp_path)
    path = tmp_path / "triples.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"triples\.parquet cannot be read"):
        load_graph(tmp_path)
