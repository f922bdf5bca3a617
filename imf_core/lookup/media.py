"""The files of the stage `media`: looked-up texts, image addresses, and what became of each entity.

In: the entities of the graph and what media they have of their own, which is never replaced. Out:
`descriptions.parquet`, `image_sources.parquet` (as `prepare` writes it) and `manifest.parquet`
with exactly one row per entity. Entities are taken some ten thousand at a time.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from imf_core.artifacts import read_parquet, read_parquet_metadata, write_parquet
from imf_core.config import MediaParams
from imf_core.data.graph import FINGERPRINT_KEY
from imf_core.data.image_sources import ImageSources, save_image_sources
from imf_core.errors import ConfigError
from imf_core.lookup import wikidata
from imf_core.lookup.asking import Web
from imf_core.lookup.findings import Finding, Need, find
from imf_core.lookup.identifiers import Identifier, identify, is_freebase

STATUSES = ("ok", "nothing_found", "no_identifier", "not_found", "unreachable", "not_asked")
ENTITIES_AT_ONCE = 20_000

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
    """What the stage reports.

    Attributes:
        counts: Status -> number of entities, every status of `STATUSES` in that order.
        descriptions: Entities that a text or a name was found for.
        images: Entities that an image was found for.
    """

    counts: dict[str, int]
    descriptions: int
    images: int


@dataclass(frozen=True)
class _Entity:
    """An entity and what it lacks."""

    entity_id: int
    label: str
    identifier: Identifier | None
    lacks_name: bool
    need: Need


@dataclass
class _Files:
    """What is to be written; rows that are complete wait as Arrow tables, which are small."""

    images: ImageSources = field(default_factory=lambda: ImageSources([], []))
    tables: dict[str, list[pa.Table]] = field(default_factory=dict)

    def add(self, name: str, schema: pa.Schema, rows: list[dict[str, object]]) -> None:
        """Adds rows to a file."""
        self.tables.setdefault(name, []).append(pa.Table.from_pylist(rows, schema))

    def write(self, folder: Path, fingerprint: str) -> MediaSummary:
        """Writes the three files and counts what is in them."""
        tables = {name: pa.concat_tables(parts) for name, parts in self.tables.items()}
        for name, table in tables.items():
            write_parquet(folder / f"{name}.parquet", table, {FINGERPRINT_KEY: fingerprint})
        save_image_sources(self.images, fingerprint, folder)
        counts = Counter(tables["manifest"]["status"].to_pylist())
        return MediaSummary(
            {status: counts[status] for status in STATUSES},
            len(tables["descriptions"]),
            len(self.images.sources),
        )


def write_unasked(entities_path: Path, folder: Path) -> MediaSummary:
    """Writes the files of a graph whose media are not looked up; reaches no network.

    Raises:
        DataError: If the entities are missing or damaged.
    """
    files = _Files()
    number = len(read_parquet(entities_path, ["entity_label"]))
    files.add("descriptions", _DESCRIPTIONS, [])
    rows: list[dict[str, object]] = [
        {"entity_id": entity_id, "status": "not_asked", "reason": "media.source is none"}
        for entity_id in range(number)
    ]
    files.add("manifest", _MANIFEST, rows)
    return files.write(folder, _fingerprint(entities_path))


def look_up_media(
    entities_path: Path,
    own_images_path: Path,
    known: Mapping[str, Identifier],
    params: MediaParams,
    web: Web,
    folder: Path,
) -> MediaSummary:
    """Looks up what the entities lack and writes the files.

    Args:
        entities_path: `entities.parquet` of the graph.
        own_images_path: `image_sources.parquet` of the graph: these entities need no image.
        known: Identifiers by label, beside what the labels say themselves.
        params: Where to ask, and for what.
        web: How the web is asked.
        folder: Where the three files are to stand.

    Returns:
        The counts; an entity that nothing is found for is a status, never an error.

    Raises:
        ConfigError: If nobody to write to is named.
        DataError: If an input is missing or damaged.
    """
    if not web.params.contact.strip():
        raise ConfigError(
            f"fetch.contact must hold your e-mail address or page for media.source: "
            f"{params.source}, got {web.params.contact!r}; the user-agent policy of Wikimedia asks "
            "for someone to write to"
        )
    table = read_parquet(entities_path, ["entity_label", "name", "description"])
    has_image = np.zeros(len(table), dtype=np.bool_)
    has_image[read_parquet(own_images_path, ["entity_id", "source"])["entity_id"].to_numpy()] = True
    files = _Files()
    for start in range(0, max(len(table), 1), ENTITIES_AT_ONCE):
        entities = list(_entities(table.slice(start, ENTITIES_AT_ONCE), start, has_image, known))
        needs: dict[Identifier, Need] = {}
        for each in entities:
            if each.identifier and (each.need.text or each.need.image):
                earlier = needs.get(each.identifier, each.need)
                needs[each.identifier] = earlier | each.need
        _add_rows(files, entities, find(needs, params, web))
    return files.write(folder, _fingerprint(entities_path))


def _entities(
    table: pa.Table, start: int, has_image: NDArray[np.bool_], known: Mapping[str, Identifier]
) -> Iterator[_Entity]:
    """Yields entities with what they lack; `start` is the id of the first."""
    columns = (table[name].to_pylist() for name in ("entity_label", "name", "description"))
    for entity_id, (label, name, description) in enumerate(zip(*columns, strict=True), start):
        yield _Entity(
            entity_id,
            label,
            identify(label, known),
            name.strip() in {"", label.strip()},
            Need(text=not description.strip(), image=not has_image[entity_id]),
        )


def _add_rows(
    files: _Files, entities: list[_Entity], findings: Mapping[Identifier, Finding]
) -> None:
    """Adds the rows of some entities to the files."""
    descriptions: list[dict[str, object]] = []
    manifest: list[dict[str, object]] = []
    for entity in entities:
        finding = findings.get(entity.identifier) if entity.identifier else None
        if finding is None or not (entity.need.text or entity.need.image):
            manifest.append(_row_of_unasked(entity))
            continue
        text = finding.description.text if finding.description and entity.need.text else ""
        has_text = bool(text or (finding.name and entity.lacks_name))
        image = finding.image if entity.need.image else None
        if has_text:
            descriptions.append(_row_of_text(entity.entity_id, text, finding))
        if image:
            files.images.entity_ids.append(entity.entity_id)
            files.images.sources.append(image.source)
        status: str = finding.status
        reason = finding.reason
        if status == "ok" and not (has_text or image):
            status, reason = "nothing_found", "its item has nothing of what the entity lacks"
        row = {
            "entity_id": entity.entity_id,
            "identifier": str(entity.identifier),
            "wikidata_id": finding.wikidata_id,
            "status": status,
            "reason": reason,
            "url": finding.page,
            "fetched_at": finding.fetched_at,
            "image_file": image and (image.file or image.source.rsplit("/", 1)[-1]),
            "image_licence": image and image.credit and image.credit.licence,
            "image_author": image and image.credit and image.credit.author,
            "image_page": image and image.credit and image.credit.page,
        }
        manifest.append(row)
    files.add("descriptions", _DESCRIPTIONS, descriptions)
    files.add("manifest", _MANIFEST, manifest)


def _row_of_text(entity_id: int, text: str, finding: Finding) -> dict[str, object]:
    """Makes the row of a text; a name alone is Wikidata's."""
    source = finding.description if text else None
    return {
        "entity_id": entity_id,
        "description": text,
        "name": finding.name,
        "source_url": source.page if source else finding.page,
        "licence": source.licence if source else wikidata.LICENCE,
    }


def _row_of_unasked(entity: _Entity) -> dict[str, object]:
    """Says why an entity was not asked for."""
    status, reason = "no_identifier", "its label is no id of Wikidata, Wikipedia, DBpedia or YAGO"
    if not (entity.need.text or entity.need.image):
        status, reason = "not_asked", "it has a description and an image of its own"
    elif is_freebase(entity.label):
        reason = "a Freebase id that entity2wikidata.txt does not map"
    return {
        "entity_id": entity.entity_id,
        "identifier": entity.identifier and str(entity.identifier),
        "status": status,
        "reason": reason,
    }


def _fingerprint(entities_path: Path) -> str:
    """Returns the fingerprint of the graph."""
    return read_parquet_metadata(entities_path).get(FINGERPRINT_KEY, "none")
