"""Looks up the media that entities lack, and says of each entity what became of it.

In: the entities of the graph and what media they have of their own, which is never replaced. Out:
the files of `imf_core.lookup.files`. Entities are taken some ten thousand at a time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from imf_core.artifacts import count_parquet_rows, read_parquet
from imf_core.config import MediaParams
from imf_core.data.folder import ENTITY_IDENTIFIERS
from imf_core.errors import ConfigError
from imf_core.lookup import wikidata
from imf_core.lookup.asking import Web
from imf_core.lookup.files import MediaFiles, MediaSummary, open_media_files
from imf_core.lookup.findings import Finding, Need, find
from imf_core.lookup.identifiers import Identifier, identify, is_freebase

ENTITIES_AT_ONCE = 20_000


@dataclass(frozen=True)
class _Entity:
    """An entity and what it lacks."""

    entity_id: int
    label: str
    identifier: Identifier | None
    lacks_name: bool
    need: Need


def write_unasked(entities_path: Path, folder: Path) -> MediaSummary:
    """Writes the files of a graph whose media are not looked up; reaches no network.

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
    with open_media_files(folder, entities_path) as files:
        for start in range(0, len(table), ENTITIES_AT_ONCE):
            some = table.slice(start, ENTITIES_AT_ONCE)
            entities = list(_entities(some, start, has_image, known))
            findings = find(_needs(entities), params, web)
            for entity in entities:
                _add(files, entity, findings)
        return files.summary


def _needs(entities: list[_Entity]) -> dict[Identifier, Need]:
    """Returns what is to be asked: several entities may be one item."""
    needs: dict[Identifier, Need] = {}
    for each in entities:
        if each.identifier and each.need.is_any:
            needs[each.identifier] = needs.get(each.identifier, each.need) | each.need
    return needs


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


def _add(files: MediaFiles, entity: _Entity, findings: Mapping[Identifier, Finding]) -> None:
    """Adds the rows of an entity to the files."""
    who = entity.entity_id, entity.identifier
    if not entity.need.is_any:
        files.add_outcome(*who, "not_asked", "it has a description and an image of its own")
        return
    if entity.identifier is None:
        files.add_outcome(*who, "no_identifier", _why_nobody(entity.label))
        return
    finding = findings[entity.identifier]
    text = finding.description if entity.need.text else None
    has_text = text is not None and bool(text.text)
    image = finding.image if entity.need.image else None
    has_name = finding.name is not None and entity.lacks_name
    if text is not None and has_text:
        row = (entity.entity_id, text.text, finding.name, text.page, text.licence)
        files.add_text(row)
    elif has_name:
        row = (entity.entity_id, "", finding.name, finding.page, wikidata.LICENCE)
        files.add_text(row)
    if image:
        files.add_image(entity.entity_id, image.source)
    status: str = finding.status
    reason = finding.reason
    if status == "ok" and not (has_text or has_name or image):
        status, reason = "nothing_found", "its item has nothing of what the entity lacks"
    files.add_outcome(*who, status, reason, finding, image)


def _why_nobody(label: str) -> str:
    """Says why a label is no identifier."""
    if is_freebase(label):
        return f"a Freebase id that {ENTITY_IDENTIFIERS} does not map"
    return "its label is no id of Wikidata, Wikipedia, DBpedia or YAGO"
