"""The image sources of entities, written by `prepare` and read by `images`.

A Parquet file beside the graph has one row per image in the order of the index. A source is a URL,
or a path relative to the raw folder.
"""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from imf_core.artifacts import write_parquet
from imf_core.data.fingerprint import FINGERPRINT_KEY

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
