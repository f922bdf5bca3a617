"""What the encoders need to know of the graph: its entities, and the text about each.

Only `entities.parquet` is read, and the texts that `media` looked up for those without one of
their own: another split of the same facts leaves features as they are.
"""

from dataclasses import dataclass
from pathlib import Path

from imf_core.artifacts import count_parquet_rows, read_parquet, read_parquet_metadata
from imf_core.data.fingerprint import FINGERPRINT_KEY, require_fingerprint


@dataclass(frozen=True)
class EntityTexts:
    """The texts of all entities in id order.

    Attributes:
        texts: "name. description", or what there is of the two; "" where there is nothing but the
            entity's own label, which says no more than its id does. Length E.
        graph_fingerprint: Of the graph these entities belong to.
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
    """Reads `entities.parquet`, and what was looked up where the graph itself says nothing.

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
    """Reads labels, names and descriptions in id order, with what was looked up filled in.

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
    """Joins name and description; "" where the only text is the label itself.

    With a description, a name that is the label stays in the text: it may well be readable.
    """
    name, description = name.strip(), description.strip()
    if not description:
        return "" if name == label.strip() else name
    if not name:
        return description
    return f"{name} {description}" if name.endswith((".", "!", "?")) else f"{name}. {description}"


def _fill_in(path: Path, labels: list[str], names: list[str], descriptions: list[str]) -> None:
    """Puts looked-up texts where there is none, and names where there is only the label."""
    table = read_parquet(path, ["entity_id", "description", "name"])
    columns = (table[name].to_pylist() for name in ("entity_id", "description", "name"))
    for entity_id, description, name in zip(*columns, strict=True):
        if not descriptions[entity_id].strip():
            descriptions[entity_id] = description
        if name and names[entity_id].strip() in {"", labels[entity_id].strip()}:
            names[entity_id] = name
