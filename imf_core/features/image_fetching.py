"""Fetches the pictures on the web that the entities need, and no more.

In: the list of sources. Out: outcomes in the web store. Each entity's first sources are fetched;
those that turn out to be no good picture are replaced by its next ones, in further rounds. What
comes in the place of an earlier picture and is none itself is not taken.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imf_core.config import FetchParams, ImagesParams
from imf_core.features.entity_pictures import EntityPictures, read_pictures
from imf_core.features.image_list import EntitySources, ImageList
from imf_core.features.ordered import map_in_order
from imf_core.media.images import NO_PICTURE
from imf_core.web.fetch import fetch_into, is_settled
from imf_core.web.store import Stored, WebStore
from imf_core.web.urls import is_url

Flags = NDArray[np.bool_]
Item = tuple[EntitySources, list[Stored | None]]

WORKERS = max(4, os.cpu_count() or 1)
"""Threads that decode pictures."""


class ImageFetcher:
    """Fetches into a store, and reads pictures from it and from the data folder."""

    def __init__(
        self,
        store: WebStore,
        raw_folder: Path,
        params: ImagesParams,
        fetch_params: FetchParams,
        mirror: str | None,
    ) -> None:
        """Prepares.

        Args:
            store: Holds what was fetched before.
            raw_folder: Where the data set's files lie.
            params: Limits and sizes.
            fetch_params: Manners.
            mirror: Folder or base URL in place of the web.
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
        """Yields the URLs of this round, and closes the entities that need no further round."""
        items = self._with_outcomes(images, is_open)
        for entity_id, urls, has_more in map_in_order(self._look_ahead, items, WORKERS):
            yield from urls
            is_open[entity_id] = bool(urls) and has_more

    def _look_ahead(self, item: Item) -> tuple[int, list[str], bool]:
        """Returns an entity, the URLs it needs now, and whether it has others in reserve."""
        entity, outcomes = item
        if len(entity.sources) <= self._params.max_per_entity:  # all are needed: decode nothing
            known = zip(entity.sources, outcomes, strict=True)
            urls = [source for source, outcome in known if is_url(source) and outcome is None]
            return entity.entity_id, urls, False
        found = self._read(item)
        has_more = any(fate.status == "surplus" for fate in found.fates)
        return entity.entity_id, found.wanted_urls, has_more

    def _with_outcomes(self, images: ImageList, is_open: Flags | None = None) -> Iterator[Item]:
        """Looks up what is known of each source: of every entity, or of the open ones."""
        for entity in images.entities():
            if is_open is None or is_open[entity.entity_id]:
                yield entity, [self._outcome(source) for source in entity.sources]

    def _outcome(self, source: str) -> Stored | None:
        """Returns the outcome of a URL that is not to be asked for again."""
        stored = self._store.get(source) if is_url(source) else None
        is_known = is_settled(stored, self._fetch_params, self._params.max_source_bytes)
        if stored and is_known and stored.is_replacement and self._is_no_picture(source, stored):
            if self._store.earlier(source):
                self._store.put_back(source, "what came is no picture")
            return self._store.get(source)
        return stored if is_known else None

    def _is_no_picture(self, source: str, stored: Stored) -> bool:
        """Whether what came is no picture at all: a page that says so, or half a file."""
        alone = EntitySources(0, [source])
        (fate,) = self._read((alone, [stored])).fates
        return fate.status in NO_PICTURE

    def _read(self, item: Item) -> EntityPictures:
        entity, outcomes = item
        return read_pictures(entity, outcomes, self._raw_folder, self._params)
