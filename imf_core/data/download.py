"""Fetches the source files of a registered data set and checks that they are the pinned ones.

In: a registry entry and, at choice, a mirror. Out: the files in a raw folder. Files are fetched
side by side and kept under their hash in a folder for resumable work, so that an interrupted run,
or another data set of the same files, fetches nothing twice; only verified files come to stand
there. A file with another hash is kept aside for whoever wants to see it, and is never used. Where
two runs want a file, one fetches it and the other waits.
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
"""Limit of a source file. Not its pinned size: of a longer one the hash is to be told."""


@dataclass(frozen=True)
class _Missing:
    """Why a file is not here.

    Attributes:
        told: For people.
        is_temporary: Whether the network was at fault, so that trying again later may help.
    """

    told: str
    is_temporary: bool


def download_dataset(
    dataset: DownloadedDataset, raw: Path, downloads: Path, params: FetchParams, mirror: str | None
) -> None:
    """Puts the source files of `dataset` into `raw`.

    Args:
        dataset: What to fetch.
        raw: Folder to fill.
        downloads: Folder in which fetched files are kept for the next time.
        params: Manners and bounds.
        mirror: A directory or base URL that holds each file at its URL without scheme, asked
            instead of the original places; None asks those.

    Raises:
        NetworkError: If files cannot be had because the network or a host is at fault, and for
            no other reason; all faults are listed, and what could be had is kept.
        DataError: If a file is not where it is said to be, or is not the pinned one; likewise.
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
    """Says whether the verified file is there already."""
    kept = downloads / source.digest
    return kept.exists() and _digest(kept, source) == source.digest


async def _fetch_all(
    sources: Sequence[PinnedUrl], downloads: Path, params: FetchParams, mirror: str | None
) -> None:
    """Fetches files side by side; all are tried before any fault is raised."""
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
            + "; ".join(each.told for each in missing)
            + "; try again later, or set IMF_MIRROR to a directory or base URL that holds each "
            "file at its URL without the scheme (unset, the original places are asked)"
        )


async def _fetch(client: WebClient, source: PinnedUrl, downloads: Path) -> _Missing | None:
    """Fetches and verifies a pinned file; returns what is wrong, None where it is now kept."""
    arrived = downloads / f"{source.digest}.unverified"
    failure = await client.fetch(source.url, arrived, max_bytes=MAX_BYTES, resume=True)
    if failure is not None:
        told = f"{source.url} could not be fetched ({failure.reason})"
        return _Missing(told, failure.status == "unreachable")
    found = _digest(arrived, source)
    if found == source.digest:
        arrived.replace(downloads / source.digest)
        return None
    aside = downloads / f"{source.digest}.rejected"
    arrived.replace(aside)
    kind = "SHA-256" if source.sha256 else "git blob SHA-1"
    size = "" if source.bytes is None else f"{source.bytes} bytes with "
    told = (
        f"{source.url} is not the pinned file (expected {size}{kind} {source.digest}, found "
        f"{aside.stat().st_size} bytes with {kind} {found}, kept aside as {aside} and not used)"
    )
    return _Missing(told, is_temporary=False)


def _digest(path: Path, source: PinnedUrl) -> str:
    """Returns the hash of a file, of the kind by which `source` is pinned."""
    if source.sha256:
        return file_sha256(path)
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _unpack(archive: Path, source: SourceArchive, raw: Path) -> None:
    """Takes the named files out of a verified archive, whatever else it holds."""
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
