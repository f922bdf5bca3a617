"""Writes the files of `data/media`, a row at a time.

`descriptions.parquet` and `image_sources.parquet` (in the format of `prepare`) have the texts and
images found, `manifest.parquet` one row per entity with its status.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from imf_core.artifacts import RowWriter, parquet_rows, read_parquet_metadata
from imf_core.data import image_sources
from imf_core.data.fingerprint import FINGERPRINT_KEY
from imf_core.lookup.findings import Image, Record
from imf_core.lookup.identifiers import Identifier

STATUSES = ("ok", "nothing_found", "no_identifier", "not_found", "unreachable", "not_asked")

_DESCRIPTIONS = pa.schema(
    [
        ("entity_id", pa.int64()),
        ("description", pa.string()),
        ("name", pa.string()),
        ("source_url", pa.string()),
        ("licence", pa.string()),
    ]
)
_MANIFEST = pa.schema(
    [
        ("entity_id", pa.int64()),
        ("identifier", pa.string()),
        ("wikidata_id", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("url", pa.string()),
        ("fetched_at", pa.string()),
        ("image_file", pa.string()),
        ("image_licence", pa.string()),
        ("image_author", pa.string()),
        ("image_page", pa.string()),
    ]
)


@dataclass(frozen=True)
class MediaSummary:
    """Counts of the stage.

    Attributes:
        counts: Status -> number of entities, for every status of `STATUSES` in that order.
        descriptions: Entities with a text or a name found.
        images: Entities with an image found.
    """

    counts: dict[str, int]
    descriptions: int
    images: int


class MediaFiles:
    """The three open files, and counts of their content."""

    def __init__(self, descriptions: RowWriter, images: RowWriter, manifest: RowWriter) -> None:
        self._descriptions = descriptions
        self._images = images
        self._manifest = manifest
        self._statuses: Counter[str] = Counter()
        self._num_descriptions = self._num_images = 0

    def add_text(self, row: tuple[object, ...]) -> None:
        """Adds a row of `descriptions.parquet`."""
        self._descriptions.append(row)
        self._num_descriptions += 1

    def add_image(self, entity_id: int, source: str) -> None:
        """Adds a row of `image_sources.parquet`."""
        self._images.append((entity_id, source))
        self._num_images += 1

    def add_outcome(
        self,
        entity_id: int,
        identifier: Identifier | None,
        status: str,
        reason: str,
        record: Record | None = None,
        image: Image | None = None,
    ) -> None:
        """Adds a row of `manifest.parquet`."""
        credit = image.credit if image else None
        self._manifest.append(
            (
                entity_id,
                str(identifier) if identifier else None,
                record.wikidata_id if record else None,
                status,
                reason,
                record.page if record else None,
                record.fetched_at if record else None,
                (image.file or image.source.rsplit("/", 1)[-1]) if image else None,
                credit.licence if credit else None,
                credit.author if credit else None,
                credit.page if credit else None,
            )
        )
        self._statuses[status] += 1

    @property
    def summary(self) -> MediaSummary:
        """Counts of the added rows."""
        counts = {status: self._statuses[status] for status in STATUSES}
        return MediaSummary(counts, self._num_descriptions, self._num_images)


@contextmanager
def open_media_files(folder: Path, entities_path: Path) -> Iterator[MediaFiles]:
    """Yields the open files; on success they appear in `folder`, the manifest last."""
    metadata = {FINGERPRINT_KEY: read_parquet_metadata(entities_path).get(FINGERPRINT_KEY, "none")}
    with (
        # The first one opened is finished last, so a manifest implies all three files.
        parquet_rows(folder / "manifest.parquet", _MANIFEST, metadata) as manifest,
        parquet_rows(folder / "descriptions.parquet", _DESCRIPTIONS, metadata) as descriptions,
        parquet_rows(folder / image_sources.FILE_NAME, image_sources.SCHEMA, metadata) as images,
    ):
        yield MediaFiles(descriptions, images, manifest)
