"""Looks up the missing media of entities, and records the status of each entity.

In: the entities of the graph and their own media, which are never replaced. Out: the files of
`imf_core.wikimedia.records`. Entities are processed `ENTITIES_AT_ONCE` at a time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from imf_core.base.artifacts import count_parquet_rows, read_parquet
from imf_core.base.config import MediaParams
from imf_core.base.errors import ConfigError
from imf_core.sources.layout import ENTITY_IDENTIFIERS
from imf_core.wikimedia import wikidata
from imf_core.wikimedia.api import Client
from imf_core.wikimedia.identifiers import Identifier, identify, is_freebase
from imf_core.wikimedia.records import (
    MediaFiles,
    MediaSummary,
    Record,
    Wanted,
    find_records,
    open_media_files,
)

ENTITIES_AT_ONCE = 20_000


@dataclass(frozen=True)
class _Entity:
    """An entity and its missing media."""

    entity_id: int
    label: str
    identifier: Identifier | None
    lacks_name: bool
    wanted: Wanted


def write_without_look_up(entities_path: Path, folder: Path) -> MediaSummary:
    """Writes the files without any look-up or request.

    Raises:
        DataError: If the entities are missing or damaged.
    """
    with open_media_files(folder, entities_path) as files:
        for entity_id in range(count_parquet_rows(entities_path)):
            files.add_outcome(entity_id, None, "not_asked", "media.source is none")
        return files.summary


def look_up_media(
    entities_path: Path,
    own_images_path: Path,
    known: Mapping[str, Identifier],
    params: MediaParams,
    client: Client,
    folder: Path,
) -> MediaSummary:
    """Looks up the missing media of entities and writes the files.

    Args:
        entities_path: `entities.parquet` of the graph.
        own_images_path: `image_sources.parquet` of the graph: its entities need no image.
        known: Identifiers by label, in addition to those in the labels.
        params: The source and the language.
        client: The client.
        folder: Folder for the three files.

    Returns:
        The counts; an entity without a result has a status, not an error.

    Raises:
        ConfigError: If `fetch.contact` is empty.
        DataError: If an input is missing or damaged.
    """
    if not client.params.contact.strip():
        raise ConfigError(
            f"fetch.contact must hold your e-mail address or page for media.source: "
            f"{params.source}, got {client.params.contact!r}; the user-agent policy of Wikimedia "
            "asks for someone to write to"
        )
    table = read_parquet(entities_path, ["entity_label", "name", "description"])
    has_image = np.zeros(len(table), dtype=np.bool_)
    has_image[read_parquet(own_images_path, ["entity_id", "source"])["entity_id"].to_numpy()] = True
    with open_media_files(folder, entities_path) as files:
        for start in range(0, len(table), ENTITIES_AT_ONCE):
            some = table.slice(start, ENTITIES_AT_ONCE)
            entities = list(_entities(some, start, has_image, known))
            records = find_records(_wanted(entities), params, client)
            for entity in entities:
                _add(files, entity, records)
        return files.summary


def _wanted(entities: list[_Entity]) -> dict[Identifier, Wanted]:
    """Returns the wanted kinds by identifier; several entities may be one item."""
    wanted: dict[Identifier, Wanted] = {}
    for each in entities:
        if each.identifier and each.wanted.is_any:
            wanted[each.identifier] = wanted.get(each.identifier, each.wanted) | each.wanted
    return wanted


def _entities(
    table: pa.Table, start: int, has_image: NDArray[np.bool_], known: Mapping[str, Identifier]
) -> Iterator[_Entity]:
    """Yields entities with their missing media; `start` is the id of the first."""
    columns = (table[name].to_pylist() for name in ("entity_label", "name", "description"))
    for entity_id, (label, name, description) in enumerate(zip(*columns, strict=True), start):
        yield _Entity(
            entity_id,
            label,
            identify(label, known),
            name.strip() in {"", label.strip()},
            Wanted(text=not description.strip(), image=not has_image[entity_id]),
        )


def _add(files: MediaFiles, entity: _Entity, records: Mapping[Identifier, Record]) -> None:
    who = entity.entity_id, entity.identifier
    if not entity.wanted.is_any:
        files.add_outcome(*who, "not_asked", "it has a description and an image of its own")
        return
    if entity.identifier is None:
        files.add_outcome(*who, "no_identifier", _why_nobody(entity.label))
        return
    record = records[entity.identifier]
    text = record.description if entity.wanted.text else None
    has_text = text is not None and bool(text.text)
    image = record.image if entity.wanted.image else None
    has_name = record.name is not None and entity.lacks_name
    if text is not None and has_text:
        row = (entity.entity_id, text.text, record.name, text.page, text.licence)
        files.add_text(row)
    elif has_name:
        row = (entity.entity_id, "", record.name, record.page, wikidata.LICENCE)
        files.add_text(row)
    if image:
        files.add_image(entity.entity_id, image.source)
    status: str = record.status
    reason = record.reason
    if status == "ok" and not (has_text or has_name or image):
        status, reason = "nothing_found", "its item has nothing of what the entity lacks"
    files.add_outcome(*who, status, reason, record, image)


def _why_nobody(label: str) -> str:
    if is_freebase(label):
        return f"a Freebase id that {ENTITY_IDENTIFIERS} does not map"
    return "its label is no id of Wikidata, Wikipedia, DBpedia or YAGO"
