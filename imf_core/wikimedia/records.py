"""Combines the answers of the Wikimedia projects to a record per identifier in `data/media`.

Wikidata comes first: item, description, image and articles. Wikipedia knows the item of a renamed
article, and has longer texts, and an image where Wikidata has none. Commons names the authors.
`descriptions.parquet` and `image_sources.parquet` hold the records, `manifest.parquet` one row per
entity with its status.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from imf_core.base.artifacts import RowWriter, parquet_rows, read_parquet_metadata
from imf_core.base.config import MediaParams
from imf_core.graph import entities
from imf_core.graph.entities import FINGERPRINT_KEY
from imf_core.wikimedia import wikidata, wikipedia
from imf_core.wikimedia.api import Client, Status
from imf_core.wikimedia.commons import Credit, image_url, look_up_credits
from imf_core.wikimedia.identifiers import WIKIDATA, Identifier, wikipedia_site
from imf_core.wikimedia.wikidata import Item, ItemAnswer, look_up_items
from imf_core.wikimedia.wikipedia import SummaryAnswer, look_up_renamed, look_up_summaries


@dataclass(frozen=True)
class Wanted:
    """The kinds of media to look up for an entity."""

    text: bool
    image: bool

    @property
    def is_any(self) -> bool:
        """Whether any kind is wanted."""
        return self.text or self.image

    def __or__(self, other: "Wanted") -> "Wanted":
        """Returns the union of two."""
        return Wanted(self.text or other.text, self.image or other.image)


@dataclass(frozen=True)
class Text:
    """A description, "" if there is none; its page, and its licence."""

    text: str
    page: str
    licence: str


@dataclass(frozen=True)
class Image:
    """The location of an image.

    Attributes:
        source: URL at the wanted width.
        file: Its name on Commons; None for a file of a single Wikipedia.
        credit: Licence and author; None for a file of a single Wikipedia.
    """

    source: str
    file: str | None
    credit: Credit | None


@dataclass(frozen=True)
class Record:
    """The result of a look-up.

    Attributes:
        status: not_found without an item; unreachable if any request failed, even if others
            succeeded.
        reason: Reason of another status, "" for ok.
        fetched_at: Time of the last request, ISO 8601.
        page: URL of the page for readers.
        wikidata_id: Number of the item.
        name: Label of the item.
        description: The text, if wanted.
        image: The image, if wanted.
    """

    status: Status
    reason: str
    fetched_at: str | None
    page: str
    wikidata_id: str | None = None
    name: str | None = None
    description: Text | None = None
    image: Image | None = None


def find_records(
    wanted: Mapping[Identifier, Wanted], params: MediaParams, client: Client
) -> dict[Identifier, Record]:
    """Looks up the wanted media of identifiers.

    Args:
        wanted: Wanted kinds by identifier. All answers are in memory at once.
        params: The source, the language and the width of images.
        client: The client.

    Returns:
        A record for each identifier.
    """
    items = look_up_items(wanted, params.language, client)
    items |= look_up_renamed(items, params.language, client)
    articles = _articles(wanted, items, params)
    summaries = look_up_summaries(articles.values(), client)
    by_identifier = {each: summaries[article] for each, article in articles.items()}
    files = {}
    for identifier, wants in wanted.items():
        file = _file(items[identifier].item, by_identifier.get(identifier))
        if wants.image and file:
            files[identifier] = file
    credit_of = look_up_credits(set(files.values()), client)
    return {
        identifier: _record(
            identifier,
            wants,
            items[identifier],
            articles.get(identifier),
            by_identifier.get(identifier),
            _image(
                wants,
                files.get(identifier),
                credit_of,
                by_identifier.get(identifier),
                params.image_width_pixels,
            ),
        )
        for identifier, wants in wanted.items()
    }


def _articles(
    wanted: Mapping[Identifier, Wanted], items: Mapping[Identifier, ItemAnswer], params: MediaParams
) -> dict[Identifier, Identifier]:
    """Returns the articles to request."""
    if params.source != "wikipedia":
        return {}
    site = wikipedia_site(params.language)
    articles = {}
    for identifier, wants in wanted.items():
        item = items[identifier].item
        if item and site in item.articles and (wants.text or not item.image):
            articles[identifier] = Identifier(site, item.articles[site])
    return articles


def _file(item: Item | None, summary: SummaryAnswer | None) -> str | None:
    """Returns the file on Commons: of the item, else of its article."""
    if item and item.image:
        return item.image
    return summary.image_file if summary else None


def _image(
    wanted: Wanted,
    file: str | None,
    credit_of: Mapping[str, Credit],
    summary: SummaryAnswer | None,
    width_pixels: int,
) -> Image | None:
    """Returns the image, if it is wanted and there is one."""
    if file:
        return Image(image_url(file, width_pixels), file, credit_of[file])
    if wanted.image and summary and summary.image_url:
        return Image(summary.image_url, None, None)
    return None


def _record(
    identifier: Identifier,
    wanted: Wanted,
    answer: ItemAnswer,
    article: Identifier | None,
    summary: SummaryAnswer | None,
    image: Image | None,
) -> Record:
    """Combines the answers about one identifier."""
    item = answer.item
    if item is None:
        return Record(answer.status, answer.reason, answer.fetched_at, identifier.page)
    page = Identifier(WIKIDATA, item.wikidata_id).page
    description = Text(item.description, page, wikidata.LICENCE)
    failures = []
    if article and summary:
        if summary.extract:
            description = Text(summary.extract, article.page, wikipedia.LICENCE)
        if summary.status == "unreachable":
            failures.append(f"{article}: {summary.reason}")
    if image and image.credit and image.credit.failure:
        failures.append(f"licence of the image: {image.credit.failure}")
    moments = [each for each in (answer.fetched_at, summary and summary.fetched_at) if each]
    return Record(
        "unreachable" if failures else "ok",
        "; ".join(failures),
        max(moments, default=None),
        page,
        item.wikidata_id,
        item.name,
        description if wanted.text else None,
        image,
    )


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
        parquet_rows(folder / entities.FILE_NAME, entities.SCHEMA, metadata) as images,
    ):
        yield MediaFiles(descriptions, images, manifest)
