"""Chooses and fetches the images of each entity: its sources in order, until there are enough.

The first sources of each entity are fetched; those that give no good image are replaced by the
next ones in further rounds. The lists of sources stay in memory in Arrow's compact form.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from imf_core.base.artifacts import read_parquet
from imf_core.base.config import FetchParams, ImagesParams
from imf_core.base.errors import DataError
from imf_core.graph.entities import require_fingerprint
from imf_core.raster.reencode import NO_PICTURE, RejectedImage, map_in_order, reencode_image
from imf_core.sources.image_index import find_kind
from imf_core.web.fetch import fetch_into, is_settled
from imf_core.web.store import Stored, WebStore
from imf_core.web.url_pattern import WEB_PATTERN, is_url

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
    table = read_parquet(path, ["entity_id", "source"])
    require_fingerprint(path, graph_fingerprint)
    ids = table["entity_id"].to_numpy()
    if len(ids) and not 0 <= ids.min() <= ids.max() < num_entities:
        raise DataError(
            f"{path}: entity_id must be in [0, {num_entities}), got {ids.min()} to {ids.max()}; "
            "run `dvc repro` to make it again"
        )
    # Offsets of 64 bits: a million entities may have more than 2 GiB of URLs.
    return table.cast(pa.schema([("entity_id", pa.int64()), ("source", pa.large_string())]))


SOURCE_STATUSES = (
    "ok",
    "duplicate",
    "surplus",
    "missing",
    "empty",
    "not_an_image",
    "unread_format",
    "truncated",
    "blank",
    "too_many_bytes",
    "too_many_pixels",
    "not_found",
    "refused",
    "unreachable",
    "error",
)
WANTED = "wanted"


@dataclass(frozen=True)
class SourceOutcome:
    """The outcome of one source.

    Attributes:
        source: URL, or path in the data folder.
        status: One of `SOURCE_STATUSES`, or `wanted`.
        reason: Cause in words, "" if there is none.
        fetched_at: Time of a URL's outcome; None without a request.
        sha256: Hash of the original content; None without content.
    """

    source: str
    status: str
    reason: str = ""
    fetched_at: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class EntityPictures:
    """The good pictures of one entity, and the outcome of each source in order."""

    entity_id: int
    pictures: list[bytes]
    source_outcomes: list[SourceOutcome]

    @property
    def wanted_urls(self) -> list[str]:
        """URLs to fetch before the pictures are known."""
        return [result.source for result in self.source_outcomes if result.status == WANTED]


def read_pictures(
    entity: EntitySources, outcomes: Sequence[Stored | None], raw_folder: Path, params: ImagesParams
) -> EntityPictures:
    """Tries an entity's sources in order until it has enough pictures; later ones are not opened.

    A URL without an outcome counts as a good picture for now, so that no unneeded URL is fetched.

    Args:
        entity: The sources.
        outcomes: Outcome of each source in the web store; None for files and unknown URLs.
        raw_folder: Folder of the data set's files, with all symbolic links in its path resolved.
        params: Limits and sizes.

    Returns:
        The pictures and the outcomes; a rejected source has a status, it is no error.
    """
    found = EntityPictures(entity.entity_id, [], [])
    seen: set[str] = set()
    hopes = 0
    for source, outcome in zip(entity.sources, outcomes, strict=True):
        if len(found.pictures) + hopes >= params.max_per_entity:
            found.source_outcomes.append(SourceOutcome(source, "surplus"))
            continue
        if is_url(source) and outcome is None:
            found.source_outcomes.append(SourceOutcome(source, WANTED))
            hopes += 1
            continue
        result, picture = _read_source(source, outcome, raw_folder, params)
        if picture is not None and (digest := sha256(picture).hexdigest()) not in seen:
            seen.add(digest)
            found.pictures.append(picture)
        elif picture is not None:
            result = SourceOutcome(source, "duplicate", "", result.fetched_at, result.sha256)
        found.source_outcomes.append(result)
    return found


def _read_source(
    source: str, outcome: Stored | None, raw_folder: Path, params: ImagesParams
) -> tuple[SourceOutcome, bytes | None]:
    fetched_at = None
    if outcome is not None:
        fetched_at = outcome.fetched_at
        if outcome.path is None:
            return SourceOutcome(source, outcome.status, outcome.reason, fetched_at), None
        content = outcome.path.read_bytes()
    else:
        read = _read_file(source, raw_folder, params.max_source_bytes)
        if isinstance(read, SourceOutcome):
            return read, None
        content = read
    digest = sha256(content).hexdigest()
    image = reencode_image(
        content,
        size_pixels=params.size_pixels,
        max_bytes=params.max_source_bytes,
        max_pixels=params.max_source_pixels,
    )
    if isinstance(image, RejectedImage):
        return SourceOutcome(source, image.fault, image.detail, fetched_at, digest), None
    return SourceOutcome(source, "ok", image.detail, fetched_at, digest), image.content


def _read_file(source: str, raw_folder: Path, max_bytes: int) -> bytes | SourceOutcome:
    """Reads a file of the data folder, which may be a link to DVC's cache."""
    relative = PurePosixPath(source)
    if source.lower().startswith("file:") or "://" in source:
        return SourceOutcome(source, "refused", "only http and https URLs are fetched")
    if relative.is_absolute() or ".." in relative.parts:
        return SourceOutcome(source, "refused", "not a path inside the data folder")
    path = raw_folder / relative
    try:
        match find_kind(path, [raw_folder]):
            case "outside":
                result = SourceOutcome(source, "refused", "a link out of the data folder")
            case "special":
                result = SourceOutcome(source, "missing", "neither a file nor a folder")
            case _ if (size := path.stat().st_size) > max_bytes:
                result = SourceOutcome(
                    source, "too_many_bytes", f"{size} bytes, at most {max_bytes}"
                )
            case _:
                return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        result = SourceOutcome(source, "missing", "there is no such file")
    except (DataError, PermissionError):
        result = SourceOutcome(source, "missing", "no permission to read the file")
    except IsADirectoryError:
        result = SourceOutcome(source, "missing", "a folder and not a file")
    except OSError as error:  # a loop of links, a name that is too long
        result = SourceOutcome(source, "missing", f"cannot be read ({error.strerror})")
    except ValueError:  # a NUL in the name
        result = SourceOutcome(source, "missing", "no file can have this name")
    return result


Flags = NDArray[np.bool_]
Item = tuple[EntitySources, list[Stored | None]]

WORKERS = max(4, os.cpu_count() or 1)
"""Threads that decode pictures."""


class ImageFetcher:
    """Fetches pictures into a store, and reads pictures from the store and the data folder."""

    def __init__(
        self,
        store: WebStore,
        raw_folder: Path,
        params: ImagesParams,
        fetch_params: FetchParams,
        mirror: str | None,
    ) -> None:
        """Prepares to fetch.

        Args:
            store: The store of outcomes.
            raw_folder: Folder of the data set's files.
            params: Limits and sizes.
            fetch_params: Limits and pauses of requests.
            mirror: Folder or base URL, used instead of the web.
        """
        self._store = store
        self._raw_folder = raw_folder.resolve()
        self._params = params
        self._fetch_params = fetch_params
        self._mirror = mirror

    def fetch_needed(self, images: ImageList) -> None:
        """Fetches until no entity needs another URL.

        Raises:
            ConfigError: If the mirror is neither a folder nor an http(s) URL.
            OSError: If the disk is full.
        """
        is_open = images.has_url.copy()
        round_number = 1
        while is_open.any():
            fetch_into(
                self._store,
                self._needed_urls(images, is_open),
                self._fetch_params,
                max_bytes=self._params.max_source_bytes,
                mirror=self._mirror,
                label="images" if round_number == 1 else f"replacements {round_number - 1}",
            )
            round_number += 1

    def read_all(self, images: ImageList) -> Iterator[EntityPictures]:
        """Yields every entity's pictures in id order, decoded by threads."""
        for result in map_in_order(self._read, self._with_outcomes(images), WORKERS):
            assert not result.wanted_urls, "every URL should have been fetched before"
            yield result

    def _needed_urls(self, images: ImageList, is_open: Flags) -> Iterator[str]:
        """Yields the URLs of this round, and closes entities that need no further round."""
        items = self._with_outcomes(images, is_open)
        for entity_id, urls, has_more in map_in_order(self._look_ahead, items, WORKERS):
            yield from urls
            is_open[entity_id] = bool(urls) and has_more

    def _look_ahead(self, item: Item) -> tuple[int, list[str], bool]:
        """Returns an entity's id, the URLs it needs now, and whether it has further sources."""
        entity, outcomes = item
        if len(entity.sources) <= self._params.max_per_entity:  # all are needed: decode nothing
            known = zip(entity.sources, outcomes, strict=True)
            urls = [source for source, outcome in known if is_url(source) and outcome is None]
            return entity.entity_id, urls, False
        found = self._read(item)
        has_more = any(result.status == "surplus" for result in found.source_outcomes)
        return entity.entity_id, found.wanted_urls, has_more

    def _with_outcomes(self, images: ImageList, is_open: Flags | None = None) -> Iterator[Item]:
        """Yields entities with the outcomes of their sources: all entities, or the open ones."""
        for entity in images.entities():
            if is_open is None or is_open[entity.entity_id]:
                yield entity, [self._outcome(source) for source in entity.sources]

    def _outcome(self, source: str) -> Stored | None:
        """Returns the outcome of a URL, None if it needs a request."""
        stored = self._store.get(source) if is_url(source) else None
        is_known = is_settled(stored, self._fetch_params, self._params.max_source_bytes)
        if stored and is_known and stored.is_replacement and self._is_no_picture(source, stored):
            if self._store.earlier(source):
                self._store.put_back(source, "what came is no picture")
            return self._store.get(source)
        return stored if is_known else None

    def _is_no_picture(self, source: str, stored: Stored) -> bool:
        """Returns whether the content is no picture: an error page or half a file, for example."""
        alone = EntitySources(0, [source])
        (result,) = self._read((alone, [stored])).source_outcomes
        return result.status in NO_PICTURE

    def _read(self, item: Item) -> EntityPictures:
        entity, outcomes = item
        return read_pictures(entity, outcomes, self._raw_folder, self._params)
