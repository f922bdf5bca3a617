"""What the encoders need to know of the graph: its entities, and the text about each.

Only `entities.parquet` is read: another split of the same facts leaves features as they are.
"""

from dataclasses import dataclass
from pathlib import Path

from imf_core.artifacts import count_parquet_rows, read_parquet, read_parquet_metadata
from imf_core.data.graph import FINGERPRINT_KEY


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


def read_entity_texts(path: Path) -> EntityTexts:
    """Reads `entities.parquet`.

    Raises:
        DataError: If the file is missing or damaged.
    """
    table = read_parquet(path, ["entity_label", "name", "description"])
    columns = (table[name].to_pylist() for name in ("entity_label", "name", "description"))
    texts = [entity_text(*row) for row in zip(*columns, strict=True)]
    return EntityTexts(texts, read_parquet_metadata(path).get(FINGERPRINT_KEY, "none"))


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
