"""The graph and its media as they stand in `data`: facts by their labels, whatever ids they have.

In: what `prepare`, `media` and `images` wrote. Out: Arrow tables, a few times as large as the
files; nothing is left of the files themselves, which DVC removes before a run.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from imf_core.artifacts import read_parquet, read_parquet_metadata

ENTITIES = Path("data/graph/entities.parquet")
RELATIONS = Path("data/graph/relations.parquet")
TRIPLES = Path("data/graph/triples.parquet")
DESCRIPTIONS = Path("data/media/descriptions.parquet")
IMAGES = Path("data/images/sources.parquet")
FILES = (ENTITIES, RELATIONS, TRIPLES, DESCRIPTIONS, IMAGES)

_FINGERPRINT = "graph_fingerprint"
"""Metadata of each file: of which graph it was made."""


@dataclass(frozen=True)
class Snapshot:
    """A graph and its media.

    Attributes:
        facts: Columns head, relation, tail: labels. Of all splits, each fact once.
        entities: Columns label, name, description, images: the description is their own or one
            looked up, images the hashes of the good ones; "" where there is none.
        relations: Columns label, name.
    """

    facts: pa.Table
    entities: pa.Table
    relations: pa.Table


def take_snapshot(folder: Path = Path()) -> Snapshot | None:
    """Reads a graph.

    Args:
        folder: Where its files are, at their paths in a project.

    Returns:
        None where a file is missing, or they are not all of one graph: no run has ended well.

    Raises:
        DataError: If a file is damaged.
    """
    files = [folder / path for path in FILES]
    if not all(path.exists() for path in files):
        return None
    if len({read_parquet_metadata(path).get(_FINGERPRINT) for path in files}) > 1:
        return None
    entities = read_parquet(folder / ENTITIES, ["entity_label", "name", "description"])
    relations = read_parquet(folder / RELATIONS, ["relation_label", "name"])
    return Snapshot(
        _facts(folder, entities["entity_label"], relations["relation_label"]),
        pa.table(
            {
                "label": entities["entity_label"],
                "name": entities["name"],
                "description": _descriptions(folder, entities["description"]),
                "images": _images(folder, len(entities)),
            }
        ),
        pa.table({"label": relations["relation_label"], "name": relations["name"]}),
    )


def _facts(
    folder: Path, entity_labels: pa.ChunkedArray, relation_labels: pa.ChunkedArray
) -> pa.Table:
    """Reads the facts by their labels."""
    triples = read_parquet(folder / TRIPLES, ["head", "relation", "tail"])
    distinct = triples.group_by(["head", "relation", "tail"]).aggregate([])
    return pa.table(
        {
            "head": entity_labels.take(distinct["head"]),
            "relation": relation_labels.take(distinct["relation"]),
            "tail": entity_labels.take(distinct["tail"]),
        }
    )


def _descriptions(folder: Path, own: pa.ChunkedArray) -> pa.Array:
    """Reads what was looked up of entities without a description of their own."""
    texts = own.to_pylist()
    found = read_parquet(folder / DESCRIPTIONS, ["entity_id", "description"])
    columns = found["entity_id"].to_pylist(), found["description"].to_pylist()
    for entity_id, text in zip(*columns, strict=True):
        if not texts[entity_id].strip():
            texts[entity_id] = text
    return pa.array(texts, pa.string())


def _images(folder: Path, num_entities: int) -> pa.Array:
    """Reads the hashes of every entity's good images."""
    table = read_parquet(folder / IMAGES, ["entity_id", "status", "sha256"])
    columns = (table[name].to_pylist() for name in ("entity_id", "status", "sha256"))
    hashes: dict[int, list[str]] = defaultdict(list)
    for entity_id, status, digest in zip(*columns, strict=True):
        if status == "ok":
            hashes[entity_id].append(digest)
    return pa.array((" ".join(hashes.get(each, [])) for each in range(num_entities)), pa.string())
