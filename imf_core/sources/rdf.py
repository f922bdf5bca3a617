"""Turns an RDF dump into a raw folder.

Statements between two IRIs become facts; those about names, descriptions and images become texts
and an image index; every other literal becomes part of its subject's description. Nothing is
dropped without being counted.
"""

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pyoxigraph import Literal, NamedNode

from imf_core.base.artifacts import atomic_path, write_text
from imf_core.base.errors import DataError
from imf_core.graph.issues import DataIssue, IssueTally, data_issue
from imf_core.sources.formats import name_from_title
from imf_core.sources.layout import (
    ENTITY_DESCRIPTIONS,
    ENTITY_NAMES,
    ENTITY_NUMBERS,
    IMAGE_INDEX,
    PICTURE_ENDINGS,
    RELATION_NAMES,
    TRAIN,
    ImageLine,
    write_image_index,
)
from imf_core.sources.rdf_reader import read_statements
from imf_core.web.url_pattern import is_url

_FOAF, _SCHEMA = "http://xmlns.com/foaf/0.1/", ("http://schema.org/", "https://schema.org/")
IMAGES = frozenset(
    {
        *(f"{_FOAF}{name}" for name in ("depiction", "img", "logo", "thumbnail")),
        "http://dbpedia.org/ontology/thumbnail",
        "http://www.wikidata.org/prop/direct/P18",
        *(f"{base}{name}" for base in _SCHEMA for name in ("image", "logo", "thumbnailUrl")),
    }
)

_FILE_OF_MEDIAWIKI = re.compile(
    r"https?://\S*[/=]special(?::|%3A)(?:filepath|redirect/file)[/?&]\S", re.IGNORECASE
)
_ENDING = "|".join(map(re.escape, sorted(PICTURE_ENDINGS)))
_PICTURE_PATH = re.compile(
    rf"[a-z][a-z0-9+.-]*://[^/?#\s]*/[^?#\s]*(?:{_ENDING})(?:[?#]\S*)?",
    re.IGNORECASE,
)
_FILE_PAGE = re.compile(r"(?<=/wiki/)(?:file|image)(?::|%3A)", re.IGNORECASE)
DRAWING_WIDTH_PIXELS = 330
"""A standard width of Wikimedia, like `media.image_width_pixels` in params.yaml."""

_DRAWING = re.compile(
    r"https?://[a-z]+\.wikimedia\.org/wiki/special(?::|%3A)(?:filepath|redirect/file)/[^?#\s]+\.svg",
    re.IGNORECASE,
)
_ABOUT_FILES = re.compile(
    r"http://www\.w3\.org/1999/02/22-rdf-syntax-ns#type|http://purl\.org/dc/|"
    r"http://creativecommons\.org/ns#|http://www\.w3\.org/1999/xhtml/vocab#license|"
    r"https?://schema\.org/(?:license|creditText|creator|author|copyright\w+)"
)
"""Properties of files: a type, licence or author does not make a file an entity."""


class Pictures:
    """Keeps statements that may be about pictures until all entities are known.

    An IRI is a picture if it is the object of a property of `IMAGES`, if MediaWiki serves a file
    there (`Special:FilePath`), or if its path has the ending of a picture and it is the head only
    of properties of files. A literal is a picture if it is such a URL.
    """

    def __init__(self) -> None:
        self._pending: dict[tuple[str, str, str], None] = {}
        self._heads_of_facts: set[str] = set()
        self._without_url = IssueTally(
            "pictures_without_url", "pictures have no web address and were left out"
        )
        self._about = IssueTally(
            "statements_about_pictures", "statements about picture files were left out"
        )

    def takes(self, head: str, relation: str, tail: NamedNode | Literal) -> bool:
        """Keeps a statement that may be about a picture; returns whether it was kept."""
        value, is_iri = tail.value, isinstance(tail, NamedNode)
        if relation in IMAGES or (_may_be_picture(value) and (is_iri or is_url(value))):
            if is_url(value) and not re.search(r"\s", value):
                self._pending[head, relation, value] = None
            else:
                self._without_url.add(f"{head} {relation} {value}")
            return True
        if not _may_be_picture(head):
            return False
        if _is_file_of_mediawiki(head):
            self._about.add(f"{head} {relation} {value}")
            return True
        if is_iri and _ABOUT_FILES.match(relation):
            self._pending[head, relation, value] = None
            return True
        if is_iri:
            self._heads_of_facts.add(head)
        return False

    def settle(self) -> tuple[list[tuple[str, str, str]], list[ImageLine], list[DataIssue]]:
        """Returns the kept statements that are facts, the images and the issues."""
        facts, images = [], set()
        for head, relation, tail in self._pending:
            if self._is_picture(head):
                self._about.add(f"{head} {relation} {tail}")
            elif relation in IMAGES or self._is_picture(tail):
                images.add((head, _readable(_FILE_PAGE.sub("Special:FilePath/", tail))))
            else:
                facts.append((head, relation, tail))
        lines = [ImageLine(head, url, "") for head, url in sorted(images)]
        return facts, lines, [*self._without_url.issues(), *self._about.issues()]

    def _is_picture(self, value: str) -> bool:
        return _is_file_of_mediawiki(value) or (
            _may_be_picture(value) and value not in self._heads_of_facts
        )


def _readable(url: str) -> str:
    """Adds a width to the URL of a drawing, so that Wikimedia serves a PNG."""
    return f"{url}?width={DRAWING_WIDTH_PIXELS}" if _DRAWING.fullmatch(url) else url


def _may_be_picture(value: str) -> bool:
    return _PICTURE_PATH.fullmatch(value) is not None or _is_file_of_mediawiki(value)


def _is_file_of_mediawiki(value: str) -> bool:
    return "special" in value.lower() and _FILE_OF_MEDIAWIKI.match(value) is not None


LANGUAGES = ("", "en", "mul", "und")
"""Preferred languages by their first subtag: no language, English, several languages, unknown
language; other languages follow in the order of their tags."""

MAX_DESCRIPTION_CHARACTERS = 2000
"""Longer descriptions are cut, in the order of the dump."""

_RDFS, _SKOS = "http://www.w3.org/2000/01/rdf-schema#", "http://www.w3.org/2004/02/skos/core#"
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


NUMBER_TYPES = frozenset(
    f"http://www.w3.org/2001/XMLSchema#{name}"
    for name in (
        *("integer", "decimal", "double", "float", "int", "long", "short", "byte"),
        *("nonNegativeInteger", "positiveInteger", "nonPositiveInteger", "negativeInteger"),
        *("unsignedLong", "unsignedInt", "unsignedShort", "unsignedByte"),
        *("date", "dateTime", "gYear", "gYearMonth"),
    )
)
"""Datatypes of literals that are numbers or dates; they stay texts as well."""


@dataclass(frozen=True)
class RdfImport:
    """Counts of a dump.

    Attributes:
        facts: Statements between two IRIs, duplicates included.
        literals: Statements with a text as object.
        images: Pictures at web addresses.
        issues: Omissions, with examples.
    """

    facts: int
    literals: int
    images: int
    issues: tuple[DataIssue, ...] = ()


_Candidate = tuple[int, str, str]
"""A text with its sorting key: (rank of the language, language tag, text)."""


@dataclass(slots=True)
class _Texts:
    """The texts of one subject, limited to about the length written."""

    name: _Candidate | None = None
    description: _Candidate | None = None
    others: set[str] = field(default_factory=set)
    others_length: int = 0

    def add(self, relation: str, literal: Literal) -> None:
        """Adds a literal as a name, a description or another text."""
        text = " ".join(literal.value.split())[: MAX_DESCRIPTION_CHARACTERS + 1]
        if not text:
            return
        if relation in NAMES:
            candidate = _candidate(literal.language, text)
            self.name = min(candidate, self.name or candidate)
        elif relation in DESCRIPTIONS:
            candidate = _candidate(literal.language, text)
            self.description = min(candidate, self.description or candidate)
        elif self.others_length <= MAX_DESCRIPTION_CHARACTERS:
            other = f"{name_from_title(relation)}: {text}"
            self.others_length += len(other) * (other not in self.others)
            self.others.add(other)

    def full_name(self) -> str:
        """Returns the name, "" if there is none."""
        return self.name[2] if self.name else ""

    def full_description(self) -> str:
        """Joins the description and all other texts."""
        parts = [self.description[2]] if self.description else []
        parts += ["; ".join(sorted(self.others))] if self.others else []
        return " ".join(parts)


def _candidate(language: str | None, text: str) -> _Candidate:
    """Ranks a text by the first subtag of its language (BCP 47); tags without a region first."""
    tag = (language or "").lower()
    first = tag.split("-")[0]
    rank = LANGUAGES.index(first) if first in LANGUAGES else len(LANGUAGES)
    return rank, tag, text


def write_rdf_as_folder(source: Path, raw: Path) -> RdfImport:
    """Reads a dump statement by statement and writes the files of a raw folder.

    Args:
        source: A file that `read_statements` reads.
        raw: Folder to fill.

    Returns:
        The counts and the issues.

    Raises:
        DataError: If `read_statements` refuses the file, or it holds no fact.
    """
    bad = IssueTally("unreadable_statements", "statements could not be read and were left out")
    blank = IssueTally("blank_nodes", "statements have a part without an IRI and were left out")
    facts, literals = 0, 0
    texts: defaultdict[str, _Texts] = defaultdict(_Texts)
    entities: set[str] = set()
    relations: set[str] = set()
    properties: set[str] = set()
    pictures = Pictures()
    numbers: list[str] = []
    with atomic_path(raw / TRAIN) as temporary:
        with temporary.open("w", encoding="utf-8", newline="\n") as train:

            def write_fact(head: str, relation: str, tail: str) -> None:
                entities.update((head, tail))
                relations.add(relation)
                train.write(f"{head}\t{relation}\t{tail}\n")

            for quad in read_statements(source, bad):
                head, relation, tail = quad.subject, quad.predicate.value, quad.object
                if not isinstance(head, NamedNode) or not isinstance(tail, NamedNode | Literal):
                    # The parser gives blank nodes random numbers.
                    blank.add(re.sub(r"_:\w+", "[]", str(quad.triple)))
                elif pictures.takes(head.value, relation, tail):
                    pass
                elif isinstance(tail, Literal):
                    literals += 1
                    if tail.datatype.value in NUMBER_TYPES:
                        numbers.append(
                            f"{head.value}\t{relation}\t{' '.join(tail.value.split())}\n"
                        )
                    properties.add(relation)
                    texts[head.value].add(relation, tail)
                else:
                    facts += 1
                    write_fact(head.value, relation, tail.value)
            further_facts, images, picture_issues = pictures.settle()
            for fact in further_facts:
                write_fact(*fact)
        facts += len(further_facts)
        if facts == 0:
            raise DataError(
                f"{source} holds no fact: none of its statements joins the IRIs of two entities "
                f"(texts {literals}, pictures {len(images)}, statements about picture files "
                f"{sum(issue.count for issue in picture_issues)}, statements with a part without "
                f"an IRI {blank.count}); bring a dump with relations between entities"
            )
    cut = IssueTally(
        "cut_texts", f"texts are longer than {MAX_DESCRIPTION_CHARACTERS} characters and were cut"
    )
    _write_texts(raw / ENTITY_NAMES, entities, texts, _Texts.full_name, cut)
    _write_texts(raw / ENTITY_DESCRIPTIONS, entities, texts, _Texts.full_description, cut)
    _write_texts(raw / RELATION_NAMES, relations, texts, _Texts.full_name, cut)
    if numbers:
        write_text(raw / ENTITY_NUMBERS, "".join(numbers))
    if images:
        write_image_index(raw / IMAGE_INDEX, images)
    nobody = data_issue(
        "texts_without_entity",
        "subjects occur in no fact, and their texts were left out",
        (
            f"{label}: {text.full_name() or text.full_description()}"
            for label, text in texts.items()
            if label not in entities and label not in relations and label not in properties
        ),
    )
    issues = (*bad.issues(), *blank.issues(), *picture_issues, *nobody, *cut.issues())
    return RdfImport(facts, literals, len(images), issues)


def _write_texts(
    path: Path,
    labels: set[str],
    texts: dict[str, _Texts],
    choose: Callable[[_Texts], str],
    cut: IssueTally,
) -> None:
    """Writes a `label <tab> text` file if there is any text."""
    lines = []
    for label in sorted(labels & texts.keys()):
        text = choose(texts[label])
        if len(text) > MAX_DESCRIPTION_CHARACTERS:
            cut.add(f"{label}: {text}")
        if text:
            lines.append(f"{label}\t{text[:MAX_DESCRIPTION_CHARACTERS]}\n")
    if lines:
        write_text(path, "".join(lines))
