"""Summaries of Wikipedia articles: their first sentences and the image at their head.

In: titles by Wikipedia. Out: a `SummaryAnswer` each. One request per article.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import unquote

from imf_core.lookup.asking import Json, Status, Web, ask
from imf_core.lookup.cleaning import clean_text
from imf_core.lookup.identifiers import Identifier, normal_title, path_of_title, wikipedia_host
from imf_core.lookup.wikidata import MAX_DESCRIPTION

LICENCE = "CC BY-SA 4.0"

_IMAGES = "https://upload.wikimedia.org/"
_ON_COMMONS = re.compile(
    re.escape(_IMAGES) + r"wikipedia/commons/(?:thumb/)?[0-9a-f]/[0-9a-f]{2}/([^/?#]+)(?:[/?#].*)?"
)
_WITHOUT_TEXT = frozenset({"disambiguation", "no-extract", "mainpage"})


class _Thumbnail(Json):
    source: str = ""


class _Summary(Json):
    type: str = "standard"
    extract: str = ""
    thumbnail: _Thumbnail | None = None


@dataclass(frozen=True)
class SummaryAnswer:
    """What came of asking for an article.

    Attributes:
        status: not_found where there is no such article any more.
        reason: Why it is not ok, else "".
        fetched_at: When it was asked.
        extract: Its first sentences, "" where there are none.
        image_file: Its image, where that is a file on Commons.
        image_url: Its image, where that is a file of this Wikipedia's own, licence unknown.
    """

    status: Status
    reason: str
    fetched_at: str | None
    extract: str = ""
    image_file: str | None = None
    image_url: str | None = None


def look_up_summaries(
    articles: Collection[Identifier], web: Web
) -> dict[Identifier, SummaryAnswer]:
    """Asks Wikipedia for the summaries of articles."""
    asked = {_url(article): article for article in sorted(set(articles))}
    found = {}
    for answer in ask(asked, _Summary, web, "wikipedia"):
        summary = answer.content or _Summary()
        source = summary.thumbnail.source if summary.thumbnail else ""
        on_commons = _ON_COMMONS.fullmatch(source)
        file = normal_title(unquote(on_commons[1])) if on_commons else None
        has_text = summary.type not in _WITHOUT_TEXT
        found[asked[answer.url]] = SummaryAnswer(
            answer.status,
            answer.reason,
            answer.fetched_at,
            clean_text(summary.extract, MAX_DESCRIPTION) if has_text else "",
            file,
            source if source.startswith(_IMAGES) and not on_commons else None,
        )
    return found


def _url(article: Identifier) -> str:
    """Writes the question for one article."""
    host = wikipedia_host(article.site)
    return f"https://{host}/api/rest_v1/page/summary/{path_of_title(article.name)}"
