"""Reads the graph and its media from `data`: facts by their labels, independent of ids.

In: files of `prepare`, `media` and `images`. Out: Arrow tables in memory, a few times as large as
the files, because DVC removes the files before a run.
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
"""Metadata of each file: the fingerprint of its graph."""


@dataclass(frozen=True)
class Snapshot:
    """A graph and its media.

    Attributes:
        facts: Columns head, relation, tail: labels. Each fact of all splits once.
        entities: Columns label, name, description (own or looked up), images (hashes of the good
            ones); "" if there is none.
        relations: Columns label, name.
    """

    facts: pa.Table
    entities: pa.Table
    relations: pa.Table


def take_snapshot(folder: Path = Path()) -> Snapshot | None:
    """Reads a graph.

    Args:
        folder: Folder with the files, at their paths in a project.

    Returns:
        None if a file is missing or the files are of different graphs: no run was complete.

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
    """Returns the own descriptions, or the looked-up ones of entities without their own."""
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
