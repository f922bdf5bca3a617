"""Articles of Wikipedia: their Wikidata items, summaries, images and present titles.

Fifty titles per request follow an article to its present title; a summary costs one request per
article. Graphs name articles as they were called when a dump was made; Wikidata knows the present
title alone.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote, urlencode

from pydantic import Field

from imf_core.wikimedia.api import (
    Client,
    Json,
    MediaWikiAnswer,
    NoneIfOdd,
    OneRenamed,
    Renamed,
    Status,
    batches_by_site,
    clean_text,
    fetch_json,
    joined,
)
from imf_core.wikimedia.identifiers import (
    WIKIDATA,
    Identifier,
    normal_title,
    parse_identifier,
    path_of_title,
    wikipedia_host,
)
from imf_core.wikimedia.wikidata import MAX_DESCRIPTION, ItemAnswer, look_up_items


def look_up_renamed(
    answers: Mapping[Identifier, ItemAnswer], language: str, client: Client
) -> dict[Identifier, ItemAnswer]:
    """Requests the articles that Wikidata did not find again, by their present titles.

    Args:
        answers: Wikidata's answers by identifier.
        language: Language of the texts, as for `look_up_items`.
        client: The client.

    Returns:
        An answer for each article that was not found.
    """
    unknown = [
        identifier
        for identifier, answer in answers.items()
        if answer.status == "not_found" and not answer.is_refused and identifier.site != WIKIDATA
    ]
    titles = look_up_titles(unknown, client)
    items = look_up_items({each.item for each in titles.values() if each.item}, language, client)
    found = {}
    for article, title in titles.items():
        if title.item is None:
            found[article] = ItemAnswer(title.status, title.reason, title.fetched_at, None)
        else:
            found[article] = items[title.item]
    return found


LICENCE = "CC BY-SA 4.0"

_IMAGES = "https://upload.wikimedia.org/"
_ON_COMMONS = re.compile(
    re.escape(_IMAGES) + r"wikipedia/commons/(?:thumb/)?[0-9a-f]/[0-9a-f]{2}/([^/?#]+)(?:[/?#].*)?"
)
_WITHOUT_TEXT = frozenset({"disambiguation", "no-extract", "mainpage"})


class _PageProps(Json):
    item: str = Field(default="", alias="wikibase_item")


class _Page(Json):
    title: str
    pageprops: _PageProps = _PageProps()


class _Query(Json):
    normalized: list[OneRenamed] = Field(default_factory=list)
    redirects: list[OneRenamed] = Field(default_factory=list)
    pages: list[Annotated[_Page | None, NoneIfOdd]] = Field(default_factory=list)


class _Titles(MediaWikiAnswer):
    query: _Query = _Query()


class _Thumbnail(Json):
    source: str = ""


class _Summary(Json):
    type: str = "standard"
    extract: str = ""
    thumbnail: _Thumbnail | None = None


@dataclass(frozen=True)
class TitleAnswer:
    """The item of an article.

    Attributes:
        status: not_found without an article of this title, also by redirects, or without an item.
            A section of another article is no article.
        reason: Reason of another status, "" for ok.
        fetched_at: Time of the request.
        item: The item if the status is ok.
    """

    status: Status
    reason: str
    fetched_at: str | None
    item: Identifier | None


@dataclass(frozen=True)
class SummaryAnswer:
    """The summary of an article.

    Attributes:
        status: not_found if the article no longer exists.
        reason: Reason of another status, "" for ok.
        fetched_at: Time of the request.
        extract: Its first sentences, "" if there are none.
        image_file: Its image, if that is a file on Commons.
        image_url: Its image, if that is a file of this Wikipedia only, licence unknown.
    """

    status: Status
    reason: str
    fetched_at: str | None
    extract: str = ""
    image_file: str | None = None
    image_url: str | None = None


def look_up_titles(
    articles: Collection[Identifier], client: Client
) -> dict[Identifier, TitleAnswer]:
    """Requests the items of articles from Wikipedia, following redirects.

    Args:
        articles: Present or earlier titles.
        client: The client.

    Returns:
        An answer for each article.
    """
    groups = batches_by_site(articles)
    asked = {_url_of_titles(site, titles): (site, titles) for site, titles in groups}
    found = {}
    for answer in fetch_json(asked, _Titles, client, "titles"):
        site, titles = asked[answer.url]
        query = answer.content.query if answer.content else _Query()
        normalized = {each.given: each.to for each in query.normalized if each}
        redirects = {each.given: each for each in query.redirects if each}
        items = {each.title: parse_identifier(each.pageprops.item) for each in query.pages if each}
        for title in titles:
            article = Identifier(site, title)
            target = _target(normalized.get(title, title), redirects)
            # MediaWiki drops the part after a #, which leaves another title.
            item = items.get(target) if target and "#" not in title else None
            if answer.content is None:
                reason = f"{article}: {answer.reason}"
                outcome = TitleAnswer(answer.status, reason, answer.fetched_at, None)
            elif target is None:
                reason = f"{article} is now a section of another article"
                outcome = TitleAnswer("not_found", reason, answer.fetched_at, None)
            elif item is None or item.site != WIKIDATA:
                reason = f"Wikidata has no item {article}"
                outcome = TitleAnswer("not_found", reason, answer.fetched_at, None)
            else:
                outcome = TitleAnswer("ok", "", answer.fetched_at, item)
            found[article] = outcome
    return found


def look_up_summaries(
    articles: Collection[Identifier], client: Client
) -> dict[Identifier, SummaryAnswer]:
    """Requests the summaries of articles from Wikipedia."""
    asked = {_url_of_summary(article): article for article in sorted(set(articles))}
    found = {}
    for answer in fetch_json(asked, _Summary, client, "wikipedia"):
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


def _target(title: str, redirects: Mapping[str, Renamed]) -> str | None:
    """Follows redirects to the end; None if one leads to a section."""
    left = dict(redirects)
    while title in left:  # each hop is taken once, so that cycles end
        hop = left.pop(title)
        if hop.section:
            return None
        title = hop.to
    return title


def _url_of_titles(site: str, titles: list[str]) -> str:
    query = {
        "action": "query",
        "prop": "pageprops",
        "ppprop": "wikibase_item",
        "redirects": 1,
        "format": "json",
        "formatversion": 2,
    }
    host = wikipedia_host(site)
    return f"https://{host}/w/api.php?{urlencode(query)}&titles={joined(titles)}"


def _url_of_summary(article: Identifier) -> str:
    host = wikipedia_host(article.site)
    return f"https://{host}/api/rest_v1/page/summary/{path_of_title(article.name)}"
