"""The registered data sets of `params.yaml`: their files and URLs.

This module reads and checks `registry.yaml` beside it. A source file is pinned by its hash, a graph
by its counts, so a data set is the same everywhere or an error.
"""

import difflib
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from imf_core.errors import ConfigError
from imf_core.typed_yaml import Section, validate

FOLDER, RDF = "folder", "rdf"
"""Names of users' graphs, reserved in the registry."""

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
