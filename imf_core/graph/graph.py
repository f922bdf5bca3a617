"""The prepared graph as the model reads it: the files of `save_graph`, with facts as tensors.

Three Parquet files in one folder: `entities` (label, name, description), `relations` (label, name)
and `triples` (head, relation, tail, split). A row's position is its id. Stages without torch use
`labels.py`, which also writes the files. `decided.py` has the file of decided facts in no split.
"""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from imf_core.base.artifacts import read_parquet
from imf_core.graph.decided import DECIDED, load_decided
from imf_core.graph.entities import require_fingerprint
from imf_core.graph.labels import SPLITS, Facts, GraphLabels


@dataclass(frozen=True)
class Graph(GraphLabels):
    """A knowledge graph with dense ids.

    Attributes:
        triples: Split name -> facts (head, relation, tail), shape: (N, 3), dtype: long.
        decided: `accepted` and `rejected` -> facts in no split that people have decided, shape:
            (N, 3), dtype: long; none unless `with_decided` has read them.
    """

    triples: dict[str, Tensor]
    decided: dict[str, Tensor] = field(
        default_factory=lambda: dict.fromkeys(DECIDED, torch.empty(0, 3, dtype=torch.long))
    )

    @property
    def facts(self) -> dict[str, Facts]:
        """The triples as arrays, which share their memory: the form that `save_graph` writes."""
        return {split: triples.numpy() for split, triples in self.triples.items()}

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


def load_graph(folder: Path) -> Graph:
    """Reads the files of `save_graph`.

    Raises:
        DataError: If a file is missing or damaged, or the three are of different graphs.
    """
    entities = read_parquet(folder / "entities.parquet", ["entity_label", "name", "description"])
    relations = read_parquet(folder / "relations.parquet", ["relation_label", "name"])
    table = read_parquet(folder / "triples.parquet", ["head", "relation", "tail", "split"])
    split = table["split"].to_numpy()
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


def with_decided(graph: Graph, folder: Path) -> Graph:
    """Returns the graph with the decided facts of its folder, which training does not read.

    Raises:
        DataError: As in `load_decided`.
    """
    found = load_decided(folder, graph.fingerprint)
    return replace(graph, decided={name: torch.from_numpy(facts) for name, facts in found.items()})


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
