"""A graph's labels and texts, and the files of the graph, for stages without torch.

`prepare` makes lists and arrays and writes them; `load_graph` in `graph.py` reads the files as
tensors. Each file stores the fingerprint of all labels, so that files of another graph are refused.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from imf_core.base.artifacts import write_parquet
from imf_core.graph.entities import FINGERPRINT_KEY

SPLITS = ("train", "valid", "test")
BETWEEN_LABELS = " | "
"""Between the labels of partner relations in one cell of a table."""

Facts = NDArray[np.int64]
Mask = NDArray[np.bool_]


def fact_keys(facts: Facts, num_entities: int, num_relations: int) -> NDArray[np.int64]:
    """Numbers each fact; only equal facts have equal numbers; (N, 3) -> (N,)."""
    heads, relations, tails = facts.T
    keys: NDArray[np.int64] = (heads * num_relations + relations) * num_entities + tails
    return keys


def is_in(keys: NDArray[np.int64], others: NDArray[np.int64]) -> Mask:
    """Returns whether each key is among the others, which need not be sorted; (N,), (M,) -> (N,).

    Sorting takes a tenth of the time of `np.isin`, which hashes both on a large graph.
    """
    return is_in_sorted(keys, np.sort(others))


def is_in_sorted(keys: NDArray[np.int64], others: NDArray[np.int64]) -> Mask:
    """Returns whether each key is among the others, which are sorted; (N,), (M,) -> (N,)."""
    if not len(others):
        return np.zeros(len(keys), dtype=bool)
    position = np.minimum(np.searchsorted(others, keys), len(others) - 1)
    found: Mask = others[position] == keys
    return found


@dataclass(frozen=True)
class GraphLabels:
    """Labels and texts of a knowledge graph with dense ids.

    Attributes:
        entity_labels: Source labels; the position is the entity id. Length E.
        entity_names: Readable names, else labels. Length E.
        entity_descriptions: Texts about the entities, "" if the source has none. Length E.
        relation_labels: Source labels; the position is the relation id. Length R.
        relation_names: Readable names. Length R.
    """

    entity_labels: list[str]
    entity_names: list[str]
    entity_descriptions: list[str]
    relation_labels: list[str]
    relation_names: list[str]

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
        digest = hashlib.sha256()
        for labels in (self.entity_labels, self.relation_labels):
            digest.update(b"%d\n" % len(labels))
            digest.update("".join(f"{label}\n" for label in labels).encode("utf-8"))
        return digest.hexdigest()


def save_graph(labels: GraphLabels, facts: Mapping[str, Facts], folder: Path) -> None:
    """Writes `entities.parquet`, `relations.parquet` and `triples.parquet` into `folder`.

    Args:
        labels: Labels and texts of the graph.
        facts: Split name -> facts (head, relation, tail) as ids, shape: (N, 3), dtype: int64.
        folder: Where to write.
    """
    metadata = {FINGERPRINT_KEY: labels.fingerprint}
    entities = pa.table(
        {
            "entity_label": pa.array(labels.entity_labels, pa.string()),
            "name": pa.array(labels.entity_names, pa.string()),
            "description": pa.array(labels.entity_descriptions, pa.string()),
        }
    )
    relations = pa.table(
        {
            "relation_label": pa.array(labels.relation_labels, pa.string()),
            "name": pa.array(labels.relation_names, pa.string()),
        }
    )
    columns = np.concatenate([facts[split] for split in SPLITS])
    names = np.repeat(SPLITS, [len(facts[split]) for split in SPLITS])
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
