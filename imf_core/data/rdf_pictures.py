"""Separates the pictures of an RDF dump from its entities.

In: the statements of a dump. Out: the lines of an image index, and statements that are facts
although an IRI in them looks like a picture.
"""

import re

from pyoxigraph import Literal, NamedNode

from imf_core.data.folder import ImageLine
from imf_core.data.issues import DataIssue, IssueTally
from imf_core.media.picture_endings import PICTURE_ENDINGS
from imf_core.web.urls import is_url

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
