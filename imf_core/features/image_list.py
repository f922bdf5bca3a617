"""The sources of pictures by entity.

In: lists (entity_id, source) in any order. Out: every entity of the graph in id order with its
sources, those of the first list first. The lists stay in memory as Arrow tables; Python objects
exist for a few thousand entities at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imf_core.artifacts import read_parquet
from imf_core.data.fingerprint import require_fingerprint
from imf_core.errors import DataError
from imf_core.web.urls import WEB_PATTERN

_ENTITIES_AT_ONCE = 4096


@dataclass(frozen=True)
class EntitySources:
    """The sources of one entity, in the order of use."""

    entity_id: int
    sources: list[str]


class ImageList:
    """The sources of all entities.

    Attributes:
        num_entities: E.
        has_url: Whether the entity has a source on the web, shape: (E,), dtype: bool.
    """

    def __init__(self, paths: Sequence[Path], num_entities: int, graph_fingerprint: str) -> None:
        """Reads the lists.

        Raises:
            DataError: If one is missing, damaged, of another graph, or an id is out of range.
        """
        tables = [_read_list(path, num_entities, graph_fingerprint) for path in paths]
        table = pa.concat_tables(tables).combine_chunks()
        entity_ids = table["entity_id"].to_numpy()
        is_url = pc.match_substring_regex(table["source"], WEB_PATTERN, ignore_case=True)
        self.num_entities = num_entities
        self._counts = np.bincount(entity_ids, minlength=num_entities)
        self.has_url = np.zeros(num_entities, dtype=bool)
        self.has_url[entity_ids[is_url.to_numpy()]] = True
        self._sources = table["source"]
        self._order = np.argsort(entity_ids, kind="stable")
        self._ends = np.cumsum(self._counts)

    def entities(self) -> Iterator[EntitySources]:
        """Yields every entity, also without sources."""
        for first in range(0, self.num_entities, _ENTITIES_AT_ONCE):
            ends = self._ends[first : first + _ENTITIES_AT_ONCE]
            start = int(ends[0] - self._counts[first])
            sources = self._sources.take(pa.array(self._order[start : ends[-1]])).to_pylist()
            begin = 0
            for entity_id, end in enumerate((ends - start).tolist(), start=first):
                yield EntitySources(entity_id, sources[begin:end])
                begin = end


def _read_list(path: Path, num_entities: int, graph_fingerprint: str) -> pa.Table:
    """Reads one list and checks it against the graph."""
    table = read_parquet(path, ["entity_id", "source"]).select(["entity_id", "source"])
    require_fingerprint(path, graph_fingerprint)
    ids = table["entity_id"].to_numpy()
    if len(ids) and not 0 <= ids.min() <= ids.max() < num_entities:
        raise DataError(
            f"{path}: entity_id must be in [0, {num_entities}), got {ids.min()} to {ids.max()}; "
            "run `dvc repro` to make it again"
        )
    # Offsets of 64 bits: a million entities may have more than 2 GiB of URLs.
    return table.cast(pa.schema([("entity_id", pa.int64()), ("source", pa.large_string())]))
