"""Fetches the source files of a registered data set and verifies their pinned hashes.

In: a registry entry and an optional mirror. Out: the files in a raw folder. Files are fetched in
parallel and kept under their hash in a folder for resumable work, so that an interrupted run, or
another data set with the same files, fetches nothing twice. Only verified files are kept there. A
file with another hash is kept aside for inspection and never used. If two runs want a file, one
fetches it and the other waits.
"""

import asyncio
import gzip
import hashlib
import shutil
import tarfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from imf_core.artifacts import atomic_path, file_sha256
from imf_core.config import FetchParams
from imf_core.data.folder import ENTITY_DESCRIPTIONS
from imf_core.data.registry import (
    DESCRIPTIONS,
    DownloadedDataset,
    PinnedUrl,
    SourceArchive,
    SourceFile,
)
from imf_core.errors import DataError, NetworkError
from imf_core.holds import exclusive_lock
from imf_core.web.client import WebClient

MAX_BYTES = 1 << 30
"""Limit of a source file; larger than pinned sizes, to report the hash of a longer file."""


@dataclass(frozen=True)
class _Missing:
    """A missing file.

    Attributes:
        message: The cause in words.
        is_temporary: Whether the network failed, so that a later try may succeed.
    """

    message: str
    is_temporary: bool


def download_dataset(
    dataset: DownloadedDataset, raw: Path, downloads: Path, params: FetchParams, mirror: str | None
) -> None:
    """Fetches the source files of a data set into a raw folder.

    Args:
        dataset: The data set.
        raw: Folder to fill.
        downloads: Folder of fetched files, kept for later runs.
        params: Limits and pauses of requests.
        mirror: Directory or base URL that holds each file at its URL without scheme, used instead
            of the original URLs; None: the original URLs.

    Raises:
        NetworkError: If files are missing only because the network or a host failed; the message
            lists all of them, and fetched files are kept.
        DataError: If a file does not exist or is not the pinned one; likewise.
        ConfigError: If the mirror is neither a directory nor an http(s) URL.
    """
    sources: list[SourceFile | SourceArchive] = [*dataset.files, *dataset.archives]
    missing = [source for source in sources if not _is_kept(source, downloads)]
    with ExitStack() as held:
        for digest in sorted({source.digest for source in missing}):
            held.enter_context(exclusive_lock(downloads / digest))
        missing = [source for source in missing if not _is_kept(source, downloads)]
        if missing:
            asyncio.run(_fetch_all(missing, downloads, params, mirror))
    for source in sources:
        kept = downloads / source.digest
        if isinstance(source, SourceArchive):
            _unpack(kept, source, raw)
        else:
            with atomic_path(raw / source.save_as) as temporary:
                shutil.copyfile(kept, temporary)
    if dataset.descriptions:
        with (
            gzip.open(DESCRIPTIONS / dataset.descriptions) as packed,
            atomic_path(raw / ENTITY_DESCRIPTIONS) as temporary,
            temporary.open("wb") as target,
        ):
            shutil.copyfileobj(packed, target)


def _is_kept(source: PinnedUrl, downloads: Path) -> bool:
    """Returns whether the verified file is already kept."""
    kept = downloads / source.digest
    return kept.exists() and _digest(kept, source) == source.digest


async def _fetch_all(
    sources: Sequence[PinnedUrl], downloads: Path, params: FetchParams, mirror: str | None
) -> None:
    """Fetches files in parallel; raises after all were tried."""
    async with WebClient(params, mirror) as client:
        with tqdm(total=len(sources), desc="source files", unit="file", disable=None) as bar:

            async def fetch(source: PinnedUrl) -> _Missing | None:
                missing = await _fetch(client, source, downloads)
                bar.update()
                return missing

            found = await asyncio.gather(*map(fetch, sources))
    if missing := [each for each in found if each]:
        where = f"the mirror {mirror}" if mirror else "their places"
        kind = NetworkError if all(each.is_temporary for each in missing) else DataError
        raise kind(
            f"source files could not be had from {where}: "
            + "; ".join(each.message for each in missing)
            + "; try again later, or set IMF_MIRROR to a directory or base URL that holds each "
            "file at its URL without the scheme (unset, the original places are asked)"
        )


async def _fetch(client: WebClient, source: PinnedUrl, downloads: Path) -> _Missing | None:
    """Fetches and verifies a pinned file; returns None if it is kept now."""
    arrived = downloads / f"{source.digest}.unverified"
    failure = await client.fetch(source.url, arrived, max_bytes=MAX_BYTES, resume=True)
    if failure is not None:
        message = f"{source.url} could not be fetched ({failure.reason})"
        return _Missing(message, failure.status == "unreachable")
    found = _digest(arrived, source)
    if found == source.digest:
        arrived.replace(downloads / source.digest)
        return None
    aside = downloads / f"{source.digest}.rejected"
    arrived.replace(aside)
    kind = "SHA-256" if source.sha256 else "git blob SHA-1"
    size = "" if source.bytes is None else f"{source.bytes} bytes with "
    message = (
        f"{source.url} is not the pinned file (expected {size}{kind} {source.digest}, found "
        f"{aside.stat().st_size} bytes with {kind} {found}, kept aside as {aside} and not used)"
    )
    return _Missing(message, is_temporary=False)


def _digest(path: Path, source: PinnedUrl) -> str:
    """Returns the hash of a file, of the kind pinned in `source`."""
    if source.sha256:
        return file_sha256(path)
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _unpack(archive: Path, source: SourceArchive, raw: Path) -> None:
    """Extracts the named files from a verified archive."""
    with tarfile.open(archive) as tar:
        for name in source.unpack:
            try:
                member = tar.extractfile(name)
            except KeyError:
                member = None
            if member is None:
                raise DataError(
                    f"{source.url} holds no file {name}, only {', '.join(tar.getnames())}; mend "
                    "`unpack` in the registry"
                )
            with member, atomic_path(raw / name) as temporary, temporary.open("wb") as target:
                shutil.copyfileobj(member, target)
