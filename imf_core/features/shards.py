"""From a list of picture sources to Parquet shards of good pictures, and back.

Out of `image_sources.parquet` (entity_id, source) come `shard-00000.parquet` ... with the
re-encoded pictures and `manifest.parquet` with the fate of every source. Nothing is dropped
without a line there. Only one shard is ever in memory.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from imf_core.artifacts import read_parquet, read_parquet_metadata, write_parquet
from imf_core.config import ImagesParams
from imf_core.data.graph import FINGERPRINT_KEY, require_fingerprint
from imf_core.data.urls import is_url
from imf_core.errors import DataError
from imf_core.features.ordered import map_in_order
from imf_core.media.images import RejectedImage, quiet_pillow, reencode_image

STATUSES = (
    "ok",
    "duplicate",
    "surplus",
    "missing",
    "empty",
    "not_an_image",
    "truncated",
    "too_many_bytes",
    "too_many_pixels",
    "unreachable",
)

Fetch = Callable[[str], "bytes | RejectedImage"]

_SHARD_SCHEMA = pa.schema(
    [
        ("entity_id", pa.int64()),
        ("position", pa.int32()),
        ("image", pa.binary()),
        ("sha256", pa.string()),
    ]
)
_MANIFEST_SCHEMA = pa.schema(
    [
        ("entity_id", pa.int64()),
        ("source", pa.string()),
        ("status", pa.string()),
        ("detail", pa.string()),
    ]
)


@dataclass(frozen=True)
class ImageSummary:
    """What the images stage reports.

    Attributes:
        counts: Status -> number of sources, every status of `STATUSES` in that order.
        num_entities: Entities with at least one good picture.
    """

    counts: dict[str, int]
    num_entities: int


@dataclass(frozen=True)
class _EntityImages:
    """The pictures of one entity: rows of a shard and of the manifest."""

    shard_rows: list[tuple[int, int, bytes, str]]
    manifest_rows: list[tuple[int, str, str, str]]


def write_image_shards(
    sources_path: Path, raw_folder: Path, folder: Path, params: ImagesParams, fetch: Fetch
) -> ImageSummary:
    """Reads every source, keeps the first good pictures of each entity, writes shards.

    Args:
        sources_path: Parquet with entity_id and source: a path below `raw_folder` with forward
            slashes, or an http(s) URL.
        raw_folder: Where the data set's files lie.
        folder: Output; shards of an earlier run are removed, the manifest is written last.
        params: Limits and sizes.
        fetch: Gets the bytes at a URL.

    Returns:
        The counts; a rejected source is a status, never an error.

    Raises:
        DataError: If the list of sources is missing or damaged.
    """
    table = read_parquet(sources_path)
    metadata = {FINGERPRINT_KEY: read_parquet_metadata(sources_path).get(FINGERPRINT_KEY, "none")}
    entities = _group_by_entity(table)
    folder.mkdir(parents=True, exist_ok=True)
    for stale in [folder / "manifest.parquet", *folder.glob("shard-*.parquet")]:
        stale.unlink(missing_ok=True)

    def read_one(entity: tuple[int, list[str]]) -> _EntityImages:
        return _read_entity(*entity, raw_folder, params, fetch)

    shard: list[tuple[int, int, bytes, str]] = []
    manifest: list[tuple[int, str, str, str]] = []
    num_shards = num_entities = 0
    with quiet_pillow():
        workers = max(4, os.cpu_count() or 1)
        results = map_in_order(read_one, entities, workers)
        for result in tqdm(results, "images", len(entities), unit="entity", disable=None):
            manifest.extend(result.manifest_rows)
            shard.extend(result.shard_rows)
            num_entities += bool(result.shard_rows)
            while len(shard) >= params.images_per_shard:
                _write_shard(folder, num_shards, shard[: params.images_per_shard], metadata)
                shard = shard[params.images_per_shard :]
                num_shards += 1
    if shard:
        _write_shard(folder, num_shards, shard, metadata)
    write_parquet(folder / "manifest.parquet", _to_table(manifest, _MANIFEST_SCHEMA), metadata)
    counts = Counter(status for _, _, status, _ in manifest)
    return ImageSummary({status: counts[status] for status in STATUSES}, num_entities)


def shard_paths(folder: Path, graph_fingerprint: str) -> list[Path]:
    """Lists the shards in order, after checking that they are whole and of this graph.

    Raises:
        DataError: If the manifest is missing (the stage did not finish), or a file belongs to
            another graph.
    """
    require_fingerprint(folder / "manifest.parquet", graph_fingerprint)
    paths = sorted(folder.glob("shard-*.parquet"))
    for path in paths:
        require_fingerprint(path, graph_fingerprint)
    return paths


def read_shard(path: Path, num_entities: int) -> tuple[np.ndarray, list[bytes]]:
    """Reads one shard.

    Returns:
        entity ids, shape: (n,), dtype: int64; and the n pictures.

    Raises:
        DataError: If the file is damaged or an id is out of range.
    """
    table = read_parquet(path)
    entity_ids = table["entity_id"].to_numpy()
    if len(entity_ids) and not 0 <= entity_ids.min() <= entity_ids.max() < num_entities:
        raise DataError(
            f"{path}: entity_id must be in [0, {num_entities}), got {entity_ids.min()} to "
            f"{entity_ids.max()}; run `dvc repro` to make it again"
        )
    return entity_ids, table["image"].to_pylist()


def _group_by_entity(table: pa.Table) -> list[tuple[int, list[str]]]:
    """Collects the sources of each entity, in id order and, within it, as listed."""
    ids = table["entity_id"].to_numpy()
    sources = table["source"].to_pylist()
    rows = [(int(ids[row]), sources[row]) for row in np.argsort(ids, kind="stable")]
    return [
        (entity_id, [source for _, source in group])
        for entity_id, group in groupby(rows, key=lambda row: row[0])
    ]


def _read_entity(
    entity_id: int, sources: list[str], raw_folder: Path, params: ImagesParams, fetch: Fetch
) -> _EntityImages:
    """Goes through an entity's sources until it has enough; later ones are not even opened."""
    found = _EntityImages([], [])
    seen: set[str] = set()
    for source in sources:
        status, detail, content = "surplus", "", b""
        if len(found.shard_rows) < params.max_per_entity:
            status, detail, content = _read_source(source, raw_folder, params, fetch)
        digest = hashlib.sha256(content).hexdigest()
        if status == "ok" and digest in seen:
            status = "duplicate"
        if status == "ok":
            seen.add(digest)
            found.shard_rows.append((entity_id, len(found.shard_rows), content, digest))
        found.manifest_rows.append((entity_id, source, status, detail))
    return found


def _read_source(
    source: str, raw_folder: Path, params: ImagesParams, fetch: Fetch
) -> tuple[str, str, bytes]:
    """Gets and re-encodes one picture: (status, detail, content)."""
    if is_url(source):
        raw = fetch(source)
        if isinstance(raw, RejectedImage):
            return raw.fault, raw.detail, b""
    else:
        relative = PurePosixPath(source)
        if relative.is_absolute() or ".." in relative.parts:
            return "missing", "not a path inside the data folder", b""
        path = raw_folder / relative
        try:
            if path.stat().st_size > params.max_source_bytes:
                reason = f"{path.stat().st_size} bytes, at most {params.max_source_bytes}"
                return "too_many_bytes", reason, b""
            raw = path.read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            return "missing", type(error).__name__, b""
    image = reencode_image(
        raw,
        size_pixels=params.size_pixels,
        max_bytes=params.max_source_bytes,
        max_pixels=params.max_source_pixels,
    )
    if isinstance(image, RejectedImage):
        return image.fault, image.detail, b""
    return "ok", image.detail, image.content


def _write_shard(
    folder: Path, number: int, rows: list[tuple[int, int, bytes, str]], metadata: dict[str, str]
) -> None:
    """Writes one shard."""
    write_parquet(folder / f"shard-{number:05d}.parquet", _to_table(rows, _SHARD_SCHEMA), metadata)


def _to_table(rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    """Turns rows into columns."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
