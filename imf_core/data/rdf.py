"""Converts an RDF dump to a graph in the folder format.

In: the statements of a dump. Out: the text files of a raw folder. Statements between two IRIs
become facts; names, descriptions and pictures become texts and an image index; other literals
become part of the subject's description. All omissions are counted.
"""

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pyoxigraph import Literal, NamedNode

from imf_core.artifacts import atomic_path, write_text
from imf_core.data.folder import (
    ENTITY_DESCRIPTIONS,
    ENTITY_NAMES,
    IMAGE_INDEX,
    RELATION_NAMES,
    TRAIN,
    write_image_index,
)
from imf_core.data.formats import name_from_title
from imf_core.data.issues import DataIssue, IssueTally, data_issue
from imf_core.data.rdf_pictures import Pictures
from imf_core.data.rdf_reader import read_statements
from imf_core.errors import DataError

LANGUAGES = ("", "en", "mul", "und")
"""Preferred languages by their first subtag: no language, English, several languages, unknown
language; other languages follow in the order of their tags."""

MAX_DESCRIPTION_CHARACTERS = 2000
"""Longer descriptions are cut, in the order of the dump."""

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
