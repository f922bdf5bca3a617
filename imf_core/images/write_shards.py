"""Writes Parquet shards of re-encoded images with the status of every source and entity.

Times in the files are those of the web store, so a second run on the same store gives the same
bytes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm

from imf_core.base.artifacts import RowWriter, parquet_rows
from imf_core.base.config import ImagesParams
from imf_core.graph.entities import FINGERPRINT_KEY, read_num_entities
from imf_core.images.select import SOURCE_STATUSES, EntityPictures, ImageFetcher, ImageList
from imf_core.raster.reencode import ONE_COLOUR, quiet_pillow
from imf_core.raster.shards import MANIFEST, SOURCES, ShardWriter

NO_SOURCE = "no_source"

_MANIFEST_SCHEMA = pa.schema(
    [
        ("entity_id", pa.int64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("num_images", pa.int32()),
        ("source", pa.string()),
        ("fetched_at", pa.string()),
    ]
)
_SOURCES_SCHEMA = pa.schema(
    [
        ("entity_id", pa.int64()),
        ("source", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("fetched_at", pa.string()),
        ("sha256", pa.string()),
    ]
)


@dataclass(frozen=True)
class ImageSummary:
    """Counts of the images stage.

    Attributes:
        sources: Status -> number of sources, for every status of `SOURCE_STATUSES` in that order.
        num_entities: E.
        num_with_images: Entities with at least one good picture.
        num_without_source: Entities without a source.
        num_one_colour: Good pictures of one colour.
        examples: Status -> the first rejected source with its reason, if there is one.
    """

    sources: dict[str, int]
    num_entities: int
    num_with_images: int
    num_without_source: int
    num_one_colour: int
    examples: dict[str, str]


def write_image_shards(
    source_lists: Sequence[Path],
    entities_path: Path,
    folder: Path,
    params: ImagesParams,
    fetcher: ImageFetcher,
) -> ImageSummary:
    """Fetches pictures, keeps the first good ones of each entity and writes shards.

    Args:
        source_lists: Parquet files with entity_id and source: a path in the raw folder with
            forward slashes, or an http(s) URL. The first list's sources are tried first.
        entities_path: `entities.parquet` of the graph.
        folder: Output; files of an earlier run are removed.
        params: Limits and sizes.
        fetcher: Access to the data folder and the web.

    Returns:
        The counts; a rejected source has a status, it is no error.

    Raises:
        DataError: If a list of sources is missing, damaged or of another graph.
    """
    num_entities, fingerprint = read_num_entities(entities_path)
    images = ImageList(source_lists, num_entities, fingerprint)
    folder.mkdir(parents=True, exist_ok=True)
    for stale in [*folder.glob("*.parquet"), *folder.glob(".*.tmp")]:
        stale.unlink()
    metadata = {FINGERPRINT_KEY: fingerprint}
    source_counts: Counter[str] = Counter()
    entity_counts: Counter[str] = Counter()
    num_one_colour = 0
    examples: dict[str, str] = {}
    shards = ShardWriter(folder, params.images_per_shard, metadata)
    with quiet_pillow():
        fetcher.fetch_needed(images)
        with (
            parquet_rows(folder / MANIFEST, _MANIFEST_SCHEMA, metadata) as manifest,
            parquet_rows(folder / SOURCES, _SOURCES_SCHEMA, metadata) as sources,
        ):
            results = fetcher.read_all(images)
            for found in tqdm(results, "pictures", num_entities, unit="entity", disable=None):
                shards.append(found.entity_id, found.pictures)
                entity_counts[_write_entity(found, manifest, sources)] += 1
                source_counts.update(result.status for result in found.source_outcomes)
                for result in found.source_outcomes:
                    if result.status == "ok":
                        num_one_colour += ONE_COLOUR in result.reason
                    elif result.reason:
                        examples.setdefault(result.status, f"{result.source}: {result.reason}")
            shards.flush()
    return ImageSummary(
        {status: source_counts[status] for status in SOURCE_STATUSES},
        num_entities,
        entity_counts["ok"],
        entity_counts[NO_SOURCE],
        num_one_colour,
        examples,
    )


def _write_entity(found: EntityPictures, manifest: RowWriter, sources: RowWriter) -> str:
    """Writes the rows of one entity and returns its status.

    This is the status of the first good source, else of the last one.
    """
    for result in found.source_outcomes:
        fields = (result.source, result.status, result.reason, result.fetched_at, result.sha256)
        sources.append((found.entity_id, *fields))
    if not found.source_outcomes:
        manifest.append((found.entity_id, NO_SOURCE, "", 0, None, None))
        return NO_SOURCE
    good = (result for result in found.source_outcomes if result.status == "ok")
    first = next(good, found.source_outcomes[-1])  # without a good one, all were tried
    count = len(found.pictures)
    row = (first.status, first.reason, count, first.source, first.fetched_at)
    manifest.append((found.entity_id, *row))
    return first.status
