"""Parquet shards of re-encoded images, written by the stage `images`, read by the image encoders.

`shard-00000.parquet` ... hold the images (entity_id, position, image, sha256) in entity order,
`sources.parquet` the status of every source, `manifest.parquet` a row per entity. The manifest is
written last: a folder that has it is whole. An extraction reads the shards in chunks of fixed
images.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa

from imf_core.base.artifacts import count_parquet_rows, read_parquet, rows_to_table, write_parquet
from imf_core.base.errors import DataError
from imf_core.graph.entities import require_fingerprint

MANIFEST = "manifest.parquet"
SOURCES = "sources.parquet"

_SCHEMA = pa.schema(
    [
        ("entity_id", pa.int64()),
        ("position", pa.int32()),
        ("image", pa.binary()),
        ("sha256", pa.string()),
    ]
)


class ShardWriter:
    """Writes pictures to shards; one shard is in memory at a time."""

    def __init__(self, folder: Path, images_per_shard: int, metadata: dict[str, str]) -> None:
        """Prepares to write.

        Args:
            folder: Output.
            images_per_shard: Pictures of every shard but the last.
            metadata: Metadata of each file.
        """
        self._folder = folder
        self._images_per_shard = images_per_shard
        self._metadata = metadata
        self._rows: list[tuple[object, ...]] = []
        self._num_shards = 0

    def append(self, entity_id: int, pictures: list[bytes]) -> None:
        """Adds the pictures of the next entity."""
        for position, picture in enumerate(pictures):
            self._rows.append((entity_id, position, picture, sha256(picture).hexdigest()))
            if len(self._rows) == self._images_per_shard:
                self.flush()

    def flush(self) -> None:
        """Writes the pictures in memory, if any."""
        if self._rows:
            path = self._folder / f"shard-{self._num_shards:05d}.parquet"
            write_parquet(path, rows_to_table(self._rows, _SCHEMA), self._metadata)
            self._rows.clear()
            self._num_shards += 1


def shard_paths(folder: Path, graph_fingerprint: str) -> list[Path]:
    """Lists the shards in order, after checking that they are complete and of this graph.

    Raises:
        DataError: If the manifest is missing (the stage did not finish), or a file belongs to
            another graph.
    """
    require_fingerprint(folder / MANIFEST, graph_fingerprint)
    paths = sorted(folder.glob("shard-*.parquet"))
    for path in paths:
        require_fingerprint(path, graph_fingerprint)
    return paths


def read_shard(path: Path, num_entities: int) -> tuple[np.ndarray, list[bytes]]:
    """Reads one shard.

    Returns:
        entity ids, shape: (n,), dtype: int64; and the n pictures.

    Raises:
        DataError: If the file is damaged or an id is out of range.
    """
    table = read_parquet(path, ["entity_id", "image"])
    entity_ids = table["entity_id"].to_numpy()
    if len(entity_ids) and not 0 <= entity_ids.min() <= entity_ids.max() < num_entities:
        raise DataError(
            f"{path}: entity_id must be in [0, {num_entities}), got {entity_ids.min()} to "
            f"{entity_ids.max()}; run `dvc repro` to make it again"
        )
    return entity_ids, table["image"].to_pylist()


@dataclass(frozen=True)
class ShardPart:
    """Neighbouring pictures of one shard.

    Attributes:
        shard: The file.
        start: Row of the first one.
        size: Number of pictures; fewer at the end of the shard.
    """

    shard: Path
    start: int
    size: int

    def read(self) -> list[bytes]:
        """Reads the pictures.

        Raises:
            DataError: If the file is missing or damaged.
        """
        images = read_parquet(self.shard, ["image"])["image"]
        pictures: list[bytes] = images.slice(self.start, self.size).to_pylist()
        return pictures


def cut_shards(shards: Sequence[Path], size: int) -> Iterator[ShardPart]:
    """Cuts each shard into parts of `size` pictures, the last one of a shard smaller."""
    for shard in map(Path.absolute, shards):  # for readers with other working folders
        for start in range(0, count_parquet_rows(shard), size):
            yield ShardPart(shard, start, size)
