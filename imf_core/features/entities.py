"""Reads the entities and their texts for the encoders.

It reads only `entities.parquet` and the texts that `media` looked up for entities without their
own: another split of the same facts does not change features.
"""

from dataclasses import dataclass
from pathlib import Path

from imf_core.artifacts import count_parquet_rows, read_parquet, read_parquet_metadata
from imf_core.data.fingerprint import FINGERPRINT_KEY, require_fingerprint


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
