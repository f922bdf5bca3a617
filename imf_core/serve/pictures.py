"""The pictures of entities, read one at a time from the shards of the stage `images`."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imf_core.base.artifacts import read_parquet
from imf_core.base.errors import DataError
from imf_core.raster.shards import shard_paths

KEPT = 512
"""Pictures kept in memory."""


class Pictures:
    """Pictures by entity id.

    Args:
        folder: `data/images`.
        graph_fingerprint: Of the graph that the ids belong to.
        num_entities: E.

    Attributes:
        counts: Pictures of each entity, shape: (E,), dtype: int64.

    Raises:
        DataError: If a shard is damaged or of another graph.
    """

    def __init__(self, folder: Path, graph_fingerprint: str, num_entities: int) -> None:
        self._shards = shard_paths(folder, graph_fingerprint)
        self._stamps = list(map(_stamp, self._shards))
        owners = [
            read_parquet(path, ["entity_id"])["entity_id"].to_numpy() for path in self._shards
        ]
        self._starts = np.cumsum([0, *map(len, owners)])
        self._owners = np.concatenate([np.empty(0, np.int64), *owners])  # sorted
        if len(self._owners) and not 0 <= self._owners[0] <= self._owners[-1] < num_entities:
            raise DataError(
                f"{folder}: entity_id must be in [0, {num_entities}), got {self._owners[0]} to "
                f"{self._owners[-1]}; run `dvc repro` to make it again"
            )
        self.counts = np.bincount(self._owners, minlength=num_entities)
        self.read = lru_cache(KEPT)(self._read)

    def count(self, entity: int) -> int:
        """Returns the number of pictures of an entity; an unseen one has none."""
        return int(self.counts[entity]) if 0 <= entity < len(self.counts) else 0

    def _read(self, entity: int, position: int) -> bytes | None:
        """Returns a picture as PNG or JPEG; None if there is none.

        Args:
            entity: Id.
            position: Number of the picture, from 0.
        """
        if not 0 <= position < self.count(entity):
            return None
        row = int(np.searchsorted(self._owners, entity)) + position
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        path = self._shards[number]
        if _stamp(path) != self._stamps[number]:
            raise DataError(
                f"a run has changed {path} since the server started; start `imf serve` again"
            )
        chosen = [("entity_id", "=", entity), ("position", "=", position)]
        try:
            found = pq.read_table(path, columns=["image"], filters=chosen)["image"]
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{path} cannot be read ({error}); delete it and run `dvc repro` to make it again"
            ) from error
        content: bytes | None = found[0].as_py() if len(found) else None
        return content


def _stamp(path: Path) -> tuple[int, int] | None:
    """Returns time and size of a file, None if it is missing."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


def media_type(content: bytes) -> str:
    """Returns the media type of a picture of a shard."""
    return "image/png" if content.startswith(b"\x89PNG") else "image/jpeg"
