"""The image sources of entities, written by `prepare` and read by `images`.

A Parquet file beside the graph has one row per image in the order of the index. A source is a URL,
or a path relative to the raw folder.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from imf_core.artifacts import write_parquet
from imf_core.data.fingerprint import FINGERPRINT_KEY
from imf_core.data.folder import IMAGE_INDEX, read_image_index

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


@dataclass(frozen=True)
class SkippedImageLines:
    """Lines of an image index that were left out.

    Attributes:
        unknown: Labels that are in no fact, in line order.
        repeated: Lines that repeat an entity and its source.
        blank: Blank lines and lines without an image.
    """

    unknown: list[str]
    repeated: int
    blank: int


def read_image_sources(
    raw: Path, entity_labels: Sequence[str]
) -> tuple[ImageSources, SkippedImageLines]:
    """Reads the image index of a raw folder, if there is one, for the labels of a graph.

    Args:
        raw: The folder.
        entity_labels: The position is the entity id.

    Raises:
        DataError: If the index is malformed.
    """
    lines, blank = read_image_index(raw / IMAGE_INDEX)
    ids = {label: position for position, label in enumerate(entity_labels)}
    known = [(ids[line.entity_label], line.source) for line in lines if line.entity_label in ids]
    distinct = list(dict.fromkeys(known))
    unknown = [line.entity_label for line in lines if line.entity_label not in ids]
    skipped = SkippedImageLines(unknown, len(known) - len(distinct), blank)
    return ImageSources([row[0] for row in distinct], [row[1] for row in distinct]), skipped


def save_image_sources(images: ImageSources, graph_fingerprint: str, folder: Path) -> None:
    """Writes `image_sources.parquet` (the columns of `SCHEMA`) into `folder`."""
    table = pa.table({"entity_id": images.entity_ids, "source": images.sources}, schema=SCHEMA)
    write_parquet(folder / FILE_NAME, table, {FINGERPRINT_KEY: graph_fingerprint})
