"""Maps the label of an entity to a Wikidata item or a Wikipedia article.

In: the label, and the file `entity2wikidata.txt` of the raw folder if there is one. Out: an
`Identifier`, or None if neither identifies the entity. Freebase ids need that file. This module
sends no requests.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from imf_core.base.errors import DataError
from imf_core.base.line_causes import explain_line
from imf_core.sources.formats import read_lines

WIKIDATA = "wikidata"

_LANGUAGE = r"(?P<language>(?!www\.)[a-z]{2,3}(?:-[a-z]+)*|simple)"
_ITEM = re.compile(r"(?:https?://(?:www\.|m\.)?wikidata\.org/(?:entity|wiki)/)?Q([1-9][0-9]{0,9})")
_LARGEST_ITEM = 2**31 - 1
"""Wikidata refuses a whole request that names a larger number."""

_ARTICLES = [
    re.compile(pattern, re.DOTALL)
    for pattern in (
        rf"https?://{_LANGUAGE}(?:\.m)?\.wikipedia\.org/wiki/(?P<title>.+)",
        rf"https?://(?:{_LANGUAGE}\.|www\.)?dbpedia\.org/(?:resource|page)/(?P<title>.+)",
        # YAGO writes an article of another Wikipedia as de/Titel; English titles start otherwise.
        rf"https?://(?:www\.)?yago-knowledge\.org/resource/(?:{_LANGUAGE}/)?(?P<title>.+)",
    )
]
_FREEBASE = re.compile(
    r"(?:https?://(?:rdf\.freebase\.com/ns/|www\.freebase\.com))?/?([mg])[./]([0-9a-z_]+)"
)
_NOT_IN_TITLES = re.compile(r"[<>\[\]{}|\ufffd\ud800-\udfff\x00-\x1f\x7f]")
_MAX_TITLE_BYTES = 255


@dataclass(frozen=True, order=True)
class Identifier:
    """A Wikidata item or a Wikipedia article.

    Attributes:
        site: `wikidata`, or a Wikipedia as Wikidata calls it (`enwiki`).
        name: `Q42`, or the article's title with spaces.
    """

    site: str
    name: str

    def __str__(self) -> str:
        """`Q42` or `enwiki:Douglas Adams`."""
        return self.name if self.site == WIKIDATA else f"{self.site}:{self.name}"

    @property
    def page(self) -> str:
        """URL of the page for readers."""
        if self.site == WIKIDATA:
            return f"https://www.wikidata.org/wiki/{self.name}"
        return f"https://{wikipedia_host(self.site)}/wiki/{path_of_title(self.name)}"


def parse_identifier(text: str) -> Identifier | None:
    """Reads a Wikidata item or a Wikipedia, DBpedia or YAGO URI, with or without <>."""
    text = text.strip().removeprefix("<").removesuffix(">")
    item = _ITEM.fullmatch(text)
    if item:
        number = int(item[1])
        return Identifier(WIKIDATA, f"Q{number}") if number <= _LARGEST_ITEM else None
    for pattern in _ARTICLES:
        article = pattern.fullmatch(text)
        if article:
            # A question mark stays: in these URIs it is mostly part of the title.
            title = normal_title(unquote(article["title"].partition("#")[0]))
            return Identifier(wikipedia_site(article["language"] or "en"), title) if title else None
    return None


def read_identifier_map(path: Path) -> tuple[dict[str, Identifier], int]:
    """Reads `label <tab> item or URI` lines; further columns are ignored.

    Returns:
        The identifiers by label in its plain form, and the number of lines without an identifier.
        A missing file is an empty map.

    Raises:
        DataError: If a line has no label or no tab, or two lines give different identifiers to a
            label, in any spelling.
    """
    if not path.is_file():
        return {}, 0
    found: dict[str, tuple[Identifier, int]] = {}
    unknown = 0
    for number, line in read_lines(path)[0]:
        label, tab, rest = line.partition("\t")
        if not tab or not label.strip():
            raise DataError(
                f"{path}, line {number}: expected a label and an item or URI separated by a tab, "
                f"{explain_line(line, ('label', 'item'))}"
            )
        identifier = parse_identifier(rest.partition("\t")[0])
        if identifier is None:
            unknown += 1
            continue
        earlier, earlier_number = found.setdefault(_plain(label), (identifier, number))
        if earlier != identifier:
            raise DataError(
                f"{path}, line {number}: {label!r} is given {identifier}, but line "
                f"{earlier_number} gives it {earlier}; keep one of the two lines"
            )
    return {label: identifier for label, (identifier, _) in found.items()}, unknown


def identify(label: str, known: Mapping[str, Identifier]) -> Identifier | None:
    """Returns the identifier of an entity: from the map, else from the label itself."""
    return known.get(_plain(label)) or parse_identifier(label)


def is_freebase(label: str) -> bool:
    """Returns whether a label is a Freebase id, in any spelling."""
    return _plain(label).startswith(("/m/", "/g/"))


def wikipedia_site(language: str) -> str:
    """`de` -> `dewiki`, Wikidata's name of that Wikipedia."""
    return f"{language.replace('-', '_')}wiki"


def wikipedia_host(site: str) -> str:
    """`dewiki` -> `de.wikipedia.org`."""
    return f"{site.removesuffix('wiki').replace('_', '-')}.wikipedia.org"


def path_of_title(title: str) -> str:
    """Formats a title as one segment of a URL's path."""
    return quote(title.replace(" ", "_"), safe="")


def normal_title(title: str) -> str | None:
    """Formats a page title like MediaWiki: spaces, NFC, a capital first; None if invalid."""
    title = " ".join(unicodedata.normalize("NFC", title).replace("_", " ").split())
    is_too_long = len(title.encode("utf-8", "replace")) > _MAX_TITLE_BYTES
    is_path = not {".", ".."}.isdisjoint(title.split("/"))
    if not title or title[0] == ":" or is_too_long or is_path or _NOT_IN_TITLES.search(title):
        return None
    capital = title[0].upper()
    return capital + title[1:] if len(capital) == 1 else title


def _plain(label: str) -> str:
    """Returns one form for all spellings of a label: without <>, Freebase ids alike."""
    label = label.strip().removeprefix("<").removesuffix(">")
    freebase = _FREEBASE.fullmatch(label)
    return f"/{freebase[1]}/{freebase[2]}" if freebase else label
