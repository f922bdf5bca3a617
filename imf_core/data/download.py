"""Fetches the source files of a registered data set and checks that they are the pinned ones.

In: a registry entry and, at choice, a mirror. Out: the files in a raw folder. A file is first
kept under its SHA-256 in a folder for resumable work, so that an interrupted run, or another data
set of the same files, fetches nothing twice; only verified files come to stand there.
"""

import shutil
import sys
import tarfile
from pathlib import Path

import pooch
import requests
from tqdm import tqdm

from imf_core.artifacts import atomic_path, file_sha256
from imf_core.data.registry import DownloadedDataset, PinnedUrl, SourceArchive, SourceFile
from imf_core.data.urls import is_url
from imf_core.errors import DataError

CONNECT_AND_READ_SECONDS = (10.0, 60.0)
ATTEMPTS = 3


def download_dataset(
    dataset: DownloadedDataset, raw: Path, downloads: Path, mirror: str | None
) -> None:
    """Puts the source files of `dataset` into `raw`.

    Args:
        dataset: What to fetch.
        raw: Folder to fill.
        downloads: Folder in which fetched files are kept for the next time.
        mirror: A directory or base URL that holds each file at its URL without scheme, asked
            instead of the original places; None asks those.

    Raises:
        DataError: If a file cannot be had or is not the pinned one.
    """
    sources: list[SourceFile | SourceArchive] = [*dataset.files, *dataset.archives]
    for source in tqdm(sources, desc="source files", unit="file", disable=None):
        kept = fetch(source, downloads, mirror)
        if isinstance(source, SourceArchive):
            _unpack(kept, source, raw)
        else:
            with atomic_path(raw / source.save_as) as temporary:
                shutil.copyfile(kept, temporary)


def fetch(source: PinnedUrl, downloads: Path, mirror: str | None) -> Path:
    """Returns the verified local copy of a pinned file, fetching it unless it is there already.

    Raises:
        DataError: If the file cannot be had or is not the pinned one.
    """
    kept = downloads / source.sha256
    if kept.exists() and file_sha256(kept) == source.sha256:
        return kept
    with atomic_path(kept) as temporary:
        if mirror is None or is_url(mirror):
            place = f"{mirror.rstrip('/')}/{source.mirror_path}" if mirror else source.url
            _fetch_url(place, source, temporary)
        else:
            place = _copy_from_directory(Path(mirror), source, temporary)
        _verify(temporary, source, place)
    return kept


def _fetch_url(place: str, source: PinnedUrl, target: Path) -> None:
    """Downloads `place` to `target`, trying again where the connection fails."""
    downloader = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(), timeout=CONNECT_AND_READ_SECONDS
    )
    for attempt in range(1, ATTEMPTS + 1):
        try:
            downloader(place, str(target), None)
        except requests.exceptions.RequestException as error:
            answered = getattr(error, "response", None) is not None
            if attempt == ATTEMPTS or answered:
                raise DataError(
                    f"{source.url} could not be fetched from {place} ({_reason(error)}); try again "
                    "later, or set IMF_MIRROR to a directory or base URL that holds the file at "
                    f"{source.mirror_path}"
                ) from error
        else:
            return


def _copy_from_directory(mirror: Path, source: PinnedUrl, target: Path) -> str:
    """Copies the file out of a mirror on disk and returns where it stood."""
    place = mirror / source.mirror_path
    if not place.is_file():
        raise DataError(
            f"{source.url} is missing in the mirror: expected {source.bytes} bytes at {place}, "
            f"found no file (the mirror {'exists' if mirror.is_dir() else 'is no directory'}); put "
            "the file there, or set IMF_MIRROR to a directory or base URL that holds it, or unset "
            "IMF_MIRROR to fetch it from its original place"
        )
    shutil.copyfile(place, target)
    return str(place)


def _verify(path: Path, source: PinnedUrl, place: str) -> None:
    """Raises a `DataError` unless the file at `path` is the pinned one."""
    size, sha256 = path.stat().st_size, file_sha256(path)
    if sha256 != source.sha256:
        raise DataError(
            f"{source.url} is not the pinned file: expected {source.bytes} bytes with SHA-256 "
            f"{source.sha256}, found {size} bytes with SHA-256 {sha256} at {place}; if a proxy or "
            "a broken copy is in the way, set IMF_MIRROR to a directory or base URL with the "
            "right file"
        )


def _unpack(archive: Path, source: SourceArchive, raw: Path) -> None:
    """Takes the named files out of a verified archive."""
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


def _reason(error: requests.exceptions.RequestException) -> str:
    """Words why a request failed, in one line."""
    if isinstance(error, requests.exceptions.HTTPError):
        return f"HTTP status {error.response.status_code}"
    return type(error).__name__
