"""An RDF dump becomes a graph in the folder format.

In: one N-Triples or Turtle file, gzip-compressed or not. Out: the text files of a raw folder.
Statements between two IRIs become facts, those about names, descriptions and pictures become
texts and an image index, every other literal becomes part of its subject's description. Nothing
is dropped without being counted.
"""

import gzip
import io
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyoxigraph
from pyoxigraph import Literal, NamedNode, Quad, RdfFormat

from imf_core.artifacts import atomic_path, write_text
from imf_core.data.folder import (
    ENTITY_DESCRIPTIONS,
    ENTITY_NAMES,
    IMAGE_INDEX,
    RELATION_NAMES,
    TRAIN,
    ImageLine,
    write_image_index,
)
from imf_core.data.formats import name_from_title
from imf_core.errors import DataError
from imf_core.web.urls import is_url

FORMATS = {".nt": RdfFormat.N_TRIPLES, ".ttl": RdfFormat.TURTLE}
LANGUAGES = ("", "en")
"""Which of several texts is taken: one without a language, else English, else the first by tag."""

MAX_DESCRIPTION_CHARACTERS = 2000
"""Literals beyond it, in the order of the dump, are not kept."""

_RDFS, _SKOS = "http://www.w3.org/2000/01/rdf-schema#", "http://www.w3.org/2004/02/skos/core#"
_SCHEMA, _FOAF = ("http://schema.org/", "https://schema.org/"), "http://xmlns.com/foaf/0.1/"
_DBPEDIA, _DC = "http://dbpedia.org/ontology/", "http://purl.org/dc/terms/"
NAMES = frozenset(
    {f"{_RDFS}label", f"{_SKOS}prefLabel", f"{_FOAF}name", *(f"{base}name" for base in _SCHEMA)}
)
DESCRIPTIONS = frozenset(
    {
        f"{_RDFS}comment",
        f"{_SKOS}definition",
        f"{_DC}description",
        f"{_DBPEDIA}abstract",
        *(f"{base}description" for base in _SCHEMA),
    }
)
IMAGES = frozenset(
    {
        f"{_FOAF}depiction",
        f"{_FOAF}img",
        f"{_DBPEDIA}thumbnail",
        "http://www.wikidata.org/prop/direct/P18",
        *(f"{base}image" for base in _SCHEMA),
    }
)


@dataclass
class RdfCounts:
    """What was found in a dump.

    Attributes:
        facts: Statements between two IRIs, duplicates included.
        literals: Statements whose object is a literal.
        images: Pictures named by a URL.
        images_without_url: Pictures named by something that is no web address, left out.
        without_iri: Statements that join a node without an IRI (a blank node), which has no label
            of its own; left out.
    """

    facts: int = 0
    literals: int = 0
    images: int = 0
    images_without_url: int = 0
    without_iri: int = 0


_Candidate = tuple[int, str, str]
"""A text with what it is compared by: (place of its language, language, text)."""


@dataclass
class _Texts:
    """What literals say of one subject, never more than will be written."""

    name: _Candidate | None = None
    description: _Candidate | None = None
    others: set[str] = field(default_factory=set)
    others_length: int = 0

    def add(self, relation: str, literal: Literal) -> None:
        """Files a literal as a name, a description or something else that is said."""
        text = " ".join(literal.value.split())[:MAX_DESCRIPTION_CHARACTERS]
        if not text:
            return
        language = literal.language or ""
        place = LANGUAGES.index(language) if language in LANGUAGES else len(LANGUAGES)
        candidate = (place, language, text)
        if relation in NAMES:
            self.name = min(candidate, self.name or candidate)
        elif relation in DESCRIPTIONS:
            self.description = min(candidate, self.description or candidate)
        elif self.others_length < MAX_DESCRIPTION_CHARACTERS:
            said = f"{name_from_title(relation)}: {text}"
            self.others_length += len(said) * (said not in self.others)
            self.others.add(said)

    def whole_name(self) -> str:
        """Returns the name, "" where there is none."""
        return self.name[2] if self.name else ""

    def whole_description(self) -> str:
        """Joins the description and everything else that is said."""
        parts = [self.description[2]] if self.description else []
        parts += ["; ".join(sorted(self.others))] if self.others else []
        return " ".join(parts)[:MAX_DESCRIPTION_CHARACTERS]


def write_rdf_as_folder(source: Path, raw: Path) -> RdfCounts:
    """Reads a dump statement by statement and writes the files of a raw folder.

    Args:
        source: A file `.nt`, `.ttl`, or one of these with `.gz`.
        raw: Folder to fill.

    Returns:
        The counts.

    Raises:
        DataError: If the file is missing, has another suffix, is malformed, or holds no fact.
    """
    counts = RdfCounts()
    texts: defaultdict[str, _Texts] = defaultdict(_Texts)
    entities: set[str] = set()
    relations: set[str] = set()
    images: dict[tuple[str, str], None] = {}
    with atomic_path(raw / TRAIN) as temporary:
        with temporary.open("w", encoding="utf-8", newline="\n") as train:
            for quad in _statements(source):
                head, relation, tail = quad.subject, quad.predicate.value, quad.object
                if not isinstance(head, NamedNode) or not isinstance(tail, NamedNode | Literal):
                    counts.without_iri += 1
                elif relation in IMAGES and is_url(tail.value):
                    images[head.value, tail.value] = None
                elif relation in IMAGES:
                    counts.images_without_url += 1
                elif isinstance(tail, Literal):
                    counts.literals += 1
                    texts[head.value].add(relation, tail)
                else:
                    counts.facts += 1
                    entities.update((head.value, tail.value))
                    relations.add(relation)
                    train.write(f"{head.value}\t{relation}\t{tail.value}\n")
        if counts.facts == 0:
            raise DataError(
                f"{source} holds no fact: none of its statements joins two IRIs (literals "
                f"{counts.literals}, statements with blank nodes {counts.without_iri}); bring a "
                "dump with relations between entities"
            )
    counts.images = len(images)
    _write_texts(raw / ENTITY_NAMES, entities, texts, _Texts.whole_name)
    _write_texts(raw / ENTITY_DESCRIPTIONS, entities, texts, _Texts.whole_description)
    _write_texts(raw / RELATION_NAMES, relations, texts, _Texts.whole_name)
    if images:
        lines = [ImageLine(label, url, "") for label, url in sorted(images)]
        write_image_index(raw / IMAGE_INDEX, lines)
    return counts


def _statements(source: Path) -> Iterator[Quad]:
    """Yields the statements of a file, turning what is wrong with it into a `DataError`."""
    is_packed = source.suffix == ".gz"
    suffix = Path(source.stem).suffix if is_packed else source.suffix
    if suffix not in FORMATS:
        raise DataError(
            f"dataset.path: {source} must end in .nt or .ttl (or one of these with .gz) where "
            "dataset.name is rdf"
        )
    try:
        with io.BufferedReader(gzip.open(source)) if is_packed else source.open("rb") as file:
            yield from pyoxigraph.parse(file, FORMATS[suffix])
    except SyntaxError as error:
        raise DataError(f"{source}: {error.msg}; mend the file") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{source} is not a whole gzip file ({error}); pack it anew") from error
    except OSError as error:
        raise DataError(
            f"dataset.path: {source} cannot be read ({error.strerror or error}); set it to your "
            "RDF file"
        ) from error


def _write_texts(
    path: Path, labels: set[str], texts: dict[str, _Texts], choose: Callable[[_Texts], str]
) -> None:
    """Writes a `label <tab> text` file, none where there is no text."""
    rows = [(label, choose(texts[label])) for label in sorted(labels & texts.keys())]
    lines = [f"{label}\t{text}\n" for label, text in rows if text]
    if lines:
        write_text(path, "".join(lines))
