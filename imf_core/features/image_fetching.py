"""Fetches the pictures that entities need from the web.

In: the list of sources. Out: outcomes in the web store. The first round fetches each entity's first
sources; further rounds replace bad pictures by the next sources. Content that would replace an
earlier picture and is no picture itself is rejected.
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
