"""From lists of picture sources to Parquet shards of good pictures, with the fate of every entity.

In: image sources (entity_id, source). Out, beside the shards: `manifest.parquet` with one row per
entity of the graph and `sources.parquet` with one row per source. Times in them are those of the
web store, so that a further run on the same store gives the same bytes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm

from imf_core.artifacts import RowWriter, parquet_rows
from imf_core.config import ImagesParams
from imf_core.data.fingerprint import FINGERPRINT_KEY
from imf_core.features.entities import read_num_entities
from imf_core.features.entity_pictures import SOURCE_STATUSES, EntityPictures
from imf_core.features.image_fetching import ImageFetcher
from imf_core.features.image_list import ImageList
from imf_core.features.shards import MANIFEST, SOURCES, ShardWriter
from imf_core.media.images import ONE_COLOUR, quiet_pillow

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
    """What the images stage reports.

    Attributes:
        sources: Status -> number of sources, every one of `SOURCE_STATUSES` in that order.
        num_entities: E.
        num_with_images: Entities with at least one good picture.
        num_without_source: Entities for which no picture is named.
        num_one_colour: Good pictures of one colour.
        examples: Status -> the first source without a picture and the reason, where there is one.
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
    """Fetches what is needed, keeps the first good pictures of each entity, writes shards.

    Args:
        source_lists: Parquet files with entity_id and source: a path in the raw folder with
            forward slashes, or an http(s) URL. The first list's sources are tried first.
        entities_path: `entities.parquet` of the graph.
        folder: Output; what an earlier run left there is removed.
        params: Limits and sizes.
        fetcher: Has the data folder and the web.

    Returns:
        The counts; a rejected source is a status, never an error.

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
                source_counts.update(fate.status for fate in found.fates)
                for fate in found.fates:
                    if fate.status == "ok":
                        num_one_colour += ONE_COLOUR in fate.reason
                    elif fate.reason:
                        examples.setdefault(fate.status, f"{fate.source}: {fate.reason}")
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

    It is that of the first good source, or of the last one tried.
    """
    for fate in found.fates:
        fields = (fate.source, fate.status, fate.reason, fate.fetched_at, fate.sha256)
        sources.append((found.entity_id, *fields))
    if not found.fates:
        manifest.append((found.entity_id, NO_SOURCE, "", 0, None, None))
        return NO_SOURCE
    good = (fate for fate in found.fates if fate.status == "ok")
    told = next(good, found.fates[-1])  # with none good there is no surplus: the last was tried
    count = len(found.pictures)
    row = (told.status, told.reason, count, told.source, told.fetched_at)
    manifest.append((found.entity_id, *row))
    return told.status
