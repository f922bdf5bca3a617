"""The data sets that `dataset.name` can name, and the download of their pinned files.

`registry.yaml` is the data, this its typed form. A source file is pinned by its hash, a graph by
its counts, so a set is the same everywhere or an error. Verified files are kept under their hash,
so an interrupted run, or another set with the same files, fetches nothing twice. A file with
another hash is kept aside and never used. Of two runs that need a file, one fetches it and the
other waits.
"""

import asyncio
import difflib
import gzip
import hashlib
import shutil
import tarfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import yaml
from pydantic import Field, field_validator, model_validator
from tqdm import tqdm

from imf_core.base.artifacts import atomic_path, exclusive_lock, file_sha256
from imf_core.base.config import FOLDER, RDF, FetchParams
from imf_core.base.errors import ConfigError, DataError, NetworkError
from imf_core.base.sections import Section, validate
from imf_core.sources.layout import ENTITY_DESCRIPTIONS
from imf_core.web.client import WebClient

REGISTRY_PATH = Path(__file__).with_name("registry.yaml")

EMBEDDED = Path(__file__).parent
"""Where the folders of embedded sets are."""

DESCRIPTIONS = Path(__file__).with_name("descriptions")
"""Descriptions in this package, for sets without their own."""

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]


class PinnedUrl(Section):
    """A URL and the pinned hash of its content."""

    url: str = Field(pattern=r"^https?://")
    bytes: int | None = Field(default=None, ge=1, description="None: not known")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    git_blob_sha1: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")

    @property
    def digest(self) -> str:
        """The pinned hash, either of the two."""
        return self.sha256 or self.git_blob_sha1 or ""

    @model_validator(mode="after")
    def _has_one_hash(self) -> "PinnedUrl":
        if (self.sha256 is None) == (self.git_blob_sha1 is None):
            raise ValueError(f"needs sha256 or git_blob_sha1, not both: {self.url}")
        return self

    @field_validator("url")
    @classmethod
    def _stays_below_a_mirror(cls, url: str) -> str:
        if ".." in PurePosixPath(url).parts or "?" in url:
            raise ValueError(f"a URL must be a plain path without '..' and '?', got {url}")
        return url


class SourceFile(PinnedUrl):
    """A file kept unchanged."""

    save_as: FileName


class SourceArchive(PinnedUrl):
    """A tar archive with files to extract unchanged."""

    unpack: list[FileName] = Field(min_length=1)


class Counts(Section):
    """The required counts of the source, duplicates included. None: unknown."""

    entities: int = Field(ge=1)
    relations: int = Field(ge=1)
    train: int | None = Field(ge=1, description="lines")
    valid: int | None = Field(ge=0, description="lines")
    test: int | None = Field(ge=0, description="lines")


class EmbeddedDataset(Section):
    """A set that is part of this package, as a folder in the format of users' graphs."""

    kind: Literal["embedded"]
    folder: FileName
    title: str
    licence: str
    citation: str


class DownloadedDataset(Section):
    """A data set to download.

    `format` is the format of its files: `labels`: a user's folder (tab-separated labels); `spaced`:
    labels separated by white space, optionally with a final full stop (and with the ids of
    `entity2id.txt` and `relation2id.txt` if they exist); `ids`: head, relation, tail as ids;
    `ids-htr`: head, tail, relation as ids; both with `entity2id.txt` and `relation2id.txt`, or
    `relations.txt` with one label per line. Title files map titles to the same ids; titles become
    names. `wikidata_json` maps labels to names and descriptions of Wikidata; `descriptions` is such
    a file in the folder `descriptions` of this package.
    """

    kind: Literal["download"]
    title: str
    licence: str
    citation: str
    format: Literal["labels", "spaced", "ids", "ids-htr"]
    entity_titles: FileName | None = None
    relation_titles: FileName | None = None
    wikidata_json: FileName | None = None
    descriptions: FileName | None = None
    counts: Counts
    files: list[SourceFile] = Field(default=[])
    archives: list[SourceArchive] = Field(default=[])

    @model_validator(mode="after")
    def _has_its_files(self) -> "DownloadedDataset":
        names = [file.save_as for file in self.files]
        names += [name for archive in self.archives for name in archive.unpack]
        needed = {"train.txt"}
        if self.format.startswith("ids"):
            relations = "relations.txt" if "relations.txt" in names else "relation2id.txt"
            needed |= {"entity2id.txt", relations}
        extras = (self.entity_titles, self.relation_titles, self.wikidata_json)
        needed |= {name for name in extras if name}
        if len(set(names)) < len(names) or needed - set(names):
            raise ValueError(f"needs {sorted(needed)} and no name twice, got {sorted(names)}")
        return self


Dataset = Annotated[EmbeddedDataset | DownloadedDataset, Field(discriminator="kind")]


class Registry(Section):
    """All data sets by name."""

    datasets: dict[str, Dataset]


def load_registry(path: Path = REGISTRY_PATH) -> dict[str, EmbeddedDataset | DownloadedDataset]:
    """Reads and checks a registry.

    Raises:
        ConfigError: If the file is malformed; the message lists all errors.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as YAML: {error}") from error
    return validate(Registry, raw, path.name).datasets


def find_dataset(name: str) -> EmbeddedDataset | DownloadedDataset:
    """Returns the registered set of a name.

    Raises:
        ConfigError: If there is none; the message lists the registered names.
    """
    datasets = _registry()
    if name not in datasets:
        near = set(difflib.get_close_matches(name, [*datasets, FOLDER, RDF], n=1)) - {name}
        raise ConfigError(
            f"dataset.name must be one of {', '.join(datasets)}, {FOLDER} or {RDF} (your own graph "
            f"in dataset.path), got {name!r}" + (f"; did you mean {min(near)}?" if near else "")
        )
    return datasets[name]


@cache
def _registry() -> dict[str, EmbeddedDataset | DownloadedDataset]:
    return load_registry()


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
        DataError: If a file does not exist or is not the pinned one; all failures are listed.
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
                    f"{source.url} holds no file {name}, only {', '.join(tar.getnames())}; correct "
                    "`unpack` in the registry"
                )
            with member, atomic_path(raw / name) as temporary, temporary.open("wb") as target:
                shutil.copyfileobj(member, target)
