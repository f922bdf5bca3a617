"""The prepared graph: written by `prepare`, read by every later stage.

Three Parquet files in one folder: `entities` (label, name, description), `relations` (label, name)
and `triples` (head, relation, tail, split). A row's position is its id. The graph's fingerprint, a
hash of all labels in order, is in the metadata of every artifact made from it, so that files of
another graph are refused.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from imf_core.base.artifacts import read_parquet, write_parquet
from imf_core.graph.entities import FINGERPRINT_KEY, labels_fingerprint, require_fingerprint

SPLITS = ("train", "valid", "test")
BETWEEN_LABELS = " | "
"""Between the labels of partner relations in one cell of a table."""


@dataclass(frozen=True)
class Graph:
    """A knowledge graph with dense ids.

    Attributes:
        entity_labels: Source labels; the position is the entity id. Length E.
        entity_names: Readable names, else labels. Length E.
        entity_descriptions: Texts about the entities, "" if the source has none. Length E.
        relation_labels: Source labels; the position is the relation id. Length R.
        relation_names: Readable names. Length R.
        triples: Split name -> facts (head, relation, tail), shape: (N, 3), dtype: long.
    """

    entity_labels: list[str]
    entity_names: list[str]
    entity_descriptions: list[str]
    relation_labels: list[str]
    relation_names: list[str]
    triples: dict[str, Tensor]

    @property
    def num_entities(self) -> int:
        """Number of entities, E."""
        return len(self.entity_labels)

    @property
    def num_relations(self) -> int:
        """Number of relations without inverses, R."""
        return len(self.relation_labels)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all entity and relation labels in id order."""
        return labels_fingerprint(self.entity_labels, self.relation_labels)

    @property
    def facts_digest(self) -> str:
        """SHA-256 over the train and valid facts: all facts that a model may depend on."""
        return self._digest("train", "valid")

    @property
    def test_digest(self) -> str:
        """SHA-256 over the test facts: no weights depend on them, but all test metrics do."""
        return self._digest("test")

    def _digest(self, *splits: str) -> str:
        digest = hashlib.sha256()
        for split in splits:
            digest.update(b"%d\n" % len(self.triples[split]))
            digest.update(self.triples[split].numpy().tobytes())
        return digest.hexdigest()


def save_graph(graph: Graph, folder: Path) -> None:
    """Writes `entities.parquet`, `relations.parquet` and `triples.parquet` into `folder`."""
    metadata = {FINGERPRINT_KEY: graph.fingerprint}
    entities = pa.table(
        {
            "entity_label": pa.array(graph.entity_labels, pa.string()),
            "name": pa.array(graph.entity_names, pa.string()),
            "description": pa.array(graph.entity_descriptions, pa.string()),
        }
    )
    relations = pa.table(
        {
            "relation_label": pa.array(graph.relation_labels, pa.string()),
            "name": pa.array(graph.relation_names, pa.string()),
        }
    )
    columns = np.concatenate([graph.triples[split].numpy() for split in SPLITS])
    names = [split for split in SPLITS for _ in range(len(graph.triples[split]))]
    triples = pa.table(
        {
            "head": pa.array(columns[:, 0], pa.int64()),
            "relation": pa.array(columns[:, 1], pa.int64()),
            "tail": pa.array(columns[:, 2], pa.int64()),
            "split": pa.array(names, pa.string()),
        }
    )
    write_parquet(folder / "entities.parquet", entities, metadata)
    write_parquet(folder / "relations.parquet", relations, metadata)
    write_parquet(folder / "triples.parquet", triples, metadata)


def load_graph(folder: Path) -> Graph:
    """Reads the files of `save_graph`.

    Raises:
        DataError: If a file is missing or damaged, or the three are of different graphs.
    """
    entities = read_parquet(folder / "entities.parquet", ["entity_label", "name", "description"])
    relations = read_parquet(folder / "relations.parquet", ["relation_label", "name"])
    table = read_parquet(folder / "triples.parquet", ["head", "relation", "tail", "split"])
    split = np.array(table["split"].to_pylist(), dtype=object)
    columns = np.stack([table[name].to_numpy() for name in ("head", "relation", "tail")], axis=1)
    graph = Graph(
        entity_labels=entities["entity_label"].to_pylist(),
        entity_names=entities["name"].to_pylist(),
        entity_descriptions=entities["description"].to_pylist(),
        relation_labels=relations["relation_label"].to_pylist(),
        relation_names=relations["name"].to_pylist(),
        triples={name: torch.from_numpy(columns[split == name]) for name in SPLITS},
    )
    for name in ("entities", "relations", "triples"):
        require_fingerprint(folder / f"{name}.parquet", graph.fingerprint)
    return graph


DEGREE_BINS = ((0, 0), (1, 2), (3, 5), (6, 10), (11, None))
"""Inclusive bounds of an entity's number of train facts; the last bin has no upper bound."""


def count_train_facts(graph: Graph) -> Tensor:
    """Counts each entity's facts in train, as head or as tail, shape: (E,), dtype: long."""
    ends = graph.triples["train"][:, [0, 2]].flatten()
    return torch.bincount(ends, minlength=graph.num_entities)


def find_degree_bins(degrees: Tensor) -> Tensor:
    """Returns the position in `DEGREE_BINS` of each number of facts, same shape, dtype: long."""
    lowest = torch.tensor([low for low, _ in DEGREE_BINS[1:]])
    return torch.bucketize(degrees, lowest, right=True)
