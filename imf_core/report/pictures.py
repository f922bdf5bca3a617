"""Small pictures of some entities, as data URIs that stand in the page itself.

A shard is opened only where one of the wanted entities lies in it, so that the memory needed is
that of one shard, whatever the number of pictures in the graph.
"""

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imf_core.errors import DataError
from imf_core.features.shards import shard_paths
from imf_core.media.images import ReencodedImage, quiet_pillow, reencode_image

THUMBNAIL_PIXELS = 128
"""Longest side: a lossless one takes at most 48 KiB, so that a hundred of them stay below 7 MB."""

_MAX_BYTES = 30_000_000
_MAX_PIXELS = 60_000_000


def read_thumbnails(
    folder: Path, graph_fingerprint: str, entity_ids: Iterable[int]
) -> dict[int, str]:
    """Reads the first picture of each entity that has one.

    Args:
        folder: `data/images`.
        graph_fingerprint: Of the graph that the ids belong to.
        entity_ids: Whose pictures are wanted.

    Returns:
        Data URIs by entity id.

    Raises:
        DataError: If a shard is damaged or of another graph.
    """
    wanted = sorted(set(entity_ids))
    found: dict[int, str] = {}
    with quiet_pillow():
        for path in shard_paths(folder, graph_fingerprint):
            for row in _read_first_pictures(path, wanted):
                uri = _make_thumbnail(row["image"])
                if uri is not None:
                    found[row["entity_id"]] = uri
    return found


def _read_first_pictures(path: Path, wanted: list[int]) -> list[dict[str, Any]]:
    """Reads rows of a shard; row groups without a wanted entity are not read."""
    filters = [("entity_id", "in", wanted), ("position", "=", 0)]
    try:
        table = pq.read_table(path, columns=["entity_id", "image"], filters=filters)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); delete it and run `dvc repro` to make it again"
        ) from error
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _make_thumbnail(content: bytes) -> str | None:
    """Shrinks a picture; None where it cannot be read, which its shard should not hold."""
    image = reencode_image(
        content, size_pixels=THUMBNAIL_PIXELS, max_bytes=_MAX_BYTES, max_pixels=_MAX_PIXELS
    )
    if not isinstance(image, ReencodedImage):
        return None
    kind = "png" if image.content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image.content).decode('ascii')}"
