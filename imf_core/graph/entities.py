"""The graph's entities for stages without torch: fingerprint, texts, image sources.

The encoders read `entities.parquet` and the texts that the stage `media` found: another split of
the same facts leaves features as they are. `image_sources.parquet` has a row per image, a URL or a
path relative to the raw folder.
"""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from imf_core.base.artifacts import (
    count_parquet_rows,
    read_parquet,
    read_parquet_metadata,
    write_parquet,
)
from imf_core.base.errors import DataError

FINGERPRINT_KEY = "graph_fingerprint"


def require_fingerprint(path: Path, fingerprint: str) -> None:
    """Checks that a Parquet file was made from the graph with this fingerprint.

    Raises:
        DataError: If it was made from another graph.
    """
    found = read_parquet_metadata(path).get(FINGERPRINT_KEY, "none")
    if found != fingerprint:
        raise DataError(
            f"{path} belongs to another graph (fingerprint {found[:12]}, expected "
            f"{fingerprint[:12]}); run `dvc repro` to make it from this one"
        )


FILE_NAME = "image_sources.parquet"
SCHEMA = pa.schema([("entity_id", pa.int64()), ("source", pa.string())])


@dataclass(frozen=True)
class ImageSources:
    """The images of a graph's entities, in index order.

    Attributes:
        entity_ids: Entity id of each image.
        sources: URL of each image, or path relative to the raw folder.
    """

    entity_ids: list[int]
    sources: list[str]


def save_image_sources(images: ImageSources, graph_fingerprint: str, folder: Path) -> None:
    """Writes `image_sources.parquet` (the columns of `SCHEMA`) into `folder`."""
    table = pa.table({"entity_id": images.entity_ids, "source": images.sources}, schema=SCHEMA)
    write_parquet(folder / FILE_NAME, table, {FINGERPRINT_KEY: graph_fingerprint})


@dataclass(frozen=True)
class EntityTexts:
    """The texts of all entities in id order.

    Attributes:
        texts: "name. description", or one of the two; "" if there is only the label, which says no
            more than the id. Length E.
        graph_fingerprint: Fingerprint of the graph.
    """

    texts: list[str]
    graph_fingerprint: str

    @property
    def num_entities(self) -> int:
        """Number of entities, E."""
        return len(self.texts)


def read_entity_labels(path: Path) -> tuple[list[str], str]:
    """Reads the labels in id order from `entities.parquet`, and the graph's fingerprint.

    Raises:
        DataError: If the file is missing or damaged.
    """
    labels = read_parquet(path, ["entity_label"])["entity_label"].to_pylist()
    return labels, read_parquet_metadata(path).get(FINGERPRINT_KEY, "none")


def read_entity_texts(path: Path, looked_up_path: Path | None = None) -> EntityTexts:
    """Reads the texts of `entities.parquet`, and looked-up texts where the graph has none.

    Args:
        path: `entities.parquet`.
        looked_up_path: `descriptions.parquet` of `data/media`; None leaves it out.

    Raises:
        DataError: If a file is missing or damaged, or the two are of different graphs.
    """
    columns, fingerprint = read_entity_words(path, looked_up_path)
    texts = [entity_text(*row) for row in zip(*columns, strict=True)]
    return EntityTexts(texts, fingerprint)


def read_entity_words(
    path: Path, looked_up_path: Path | None
) -> tuple[tuple[list[str], list[str], list[str]], str]:
    """Reads labels, names and descriptions in id order, completed by looked-up texts.

    Args:
        path: `entities.parquet`.
        looked_up_path: `descriptions.parquet` of `data/media`; None leaves it out.

    Returns:
        The three lists, and the graph's fingerprint.

    Raises:
        DataError: If a file is missing or damaged, or the two are of different graphs.
    """
    table = read_parquet(path, ["entity_label", "name", "description"])
    fingerprint = read_parquet_metadata(path).get(FINGERPRINT_KEY, "none")
    labels, names, descriptions = (
        table[name].to_pylist() for name in ("entity_label", "name", "description")
    )
    if looked_up_path is not None:
        require_fingerprint(looked_up_path, fingerprint)
        _fill_in(looked_up_path, labels, names, descriptions)
    return (labels, names, descriptions), fingerprint


def read_num_entities(path: Path) -> tuple[int, str]:
    """Reads the number of entities in `entities.parquet`, and their graph's fingerprint.

    Raises:
        DataError: If the file is missing or damaged.
    """
    return count_parquet_rows(path), read_parquet_metadata(path).get(FINGERPRINT_KEY, "none")


def entity_text(label: str, name: str, description: str) -> str:
    """Joins name and description; "" if the only text is the label.

    With a description, a name equal to the label stays in the text, since it may be readable.
    """
    name, description = name.strip(), description.strip()
    if not description:
        return "" if name == label.strip() else name
    if not name:
        return description
    return f"{name} {description}" if name.endswith((".", "!", "?")) else f"{name}. {description}"


def _fill_in(path: Path, labels: list[str], names: list[str], descriptions: list[str]) -> None:
    """Fills in looked-up texts for missing ones, and looked-up names for mere labels."""
    table = read_parquet(path, ["entity_id", "description", "name"])
    columns = (table[name].to_pylist() for name in ("entity_id", "description", "name"))
    for entity_id, description, name in zip(*columns, strict=True):
        if not descriptions[entity_id].strip():
            descriptions[entity_id] = description
        if name and names[entity_id].strip() in {"", labels[entity_id].strip()}:
            names[entity_id] = name
