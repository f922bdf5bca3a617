"""Looks items up in Wikidata: label, one-line description, image and Wikipedia articles.

In: identifiers. Out: an `ItemAnswer` for each. Requests have fifty items in sorted order, by number
or by the title of an article, so that the same identifiers make the same requests.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from pydantic import Field

from imf_core.wikimedia.api import (
    AsMap,
    Client,
    Json,
    MediaWikiAnswer,
    NoneIfOdd,
    Status,
    batches_by_site,
    clean_text,
    fetch_json,
    joined,
)
from imf_core.wikimedia.identifiers import WIKIDATA, Identifier, normal_title, wikipedia_site

API = "https://www.wikidata.org/w/api.php"
LICENCE = "CC0"
MAX_NAME, MAX_DESCRIPTION = 200, 2000

_ALL_LANGUAGES = "mul"
"""Wikidata's code for a label that is the same in most languages."""
_MAX_LAG_SECONDS = 5


class _Term(Json):
    value: str


class _Link(Json):
    title: str


class _DataValue(Json):
    value: object = None


class _Snak(Json):
    datavalue: _DataValue | None = None


class _Statement(Json):
    mainsnak: _Snak
    rank: str


class _Claims(Json):
    images: list[_Statement] = Field(default=[], alias="P18")


class _Entity(Json):
    id: str | None = Field(default=None, pattern="^Q[1-9][0-9]{0,9}$")
    missing: object = None
    title: object = None
    labels: Annotated[dict[str, _Term], AsMap] = Field(default_factory=dict)
    descriptions: Annotated[dict[str, _Term], AsMap] = Field(default_factory=dict)
    claims: Annotated[_Claims, AsMap] = _Claims()
    sitelinks: Annotated[dict[str, _Link], AsMap] = Field(default_factory=dict)


class _Entities(MediaWikiAnswer):
    entities: Annotated[dict[str, Annotated[_Entity | None, NoneIfOdd]], AsMap] = Field(
        default_factory=dict
    )


@dataclass(frozen=True)
class Item:
    """The used fields of a Wikidata item.

    Attributes:
        wikidata_id: Its number; for a merged item, the number of its target.
        name: Its label, None without one in a requested language.
        description: One line, "" if there is none.
        image: Name of a file on Wikimedia Commons, None if there is none.
        articles: Titles by Wikipedia (`enwiki`).
    """

    wikidata_id: str
    name: str | None
    description: str
    image: str | None
    articles: dict[str, str]


@dataclass(frozen=True)
class ItemAnswer:
    """The answer for an identifier: the item, or the reason why there is none.

    Attributes:
        status: not_found without such an item, or if Wikidata refuses the request.
        reason: Reason of another status, "" for ok.
        fetched_at: Time of the request.
        item: The item if the status is ok.
        is_refused: Whether Wikidata refuses such requests: for an unknown Wikipedia, for example.
    """

    status: Status
    reason: str
    fetched_at: str | None
    item: Item | None
    is_refused: bool = False


def look_up_items(
    identifiers: Collection[Identifier], language: str, client: Client
) -> dict[Identifier, ItemAnswer]:
    """Requests items from Wikidata.

    Args:
        identifiers: Items or articles.
        language: Language of the texts; English if there is no text in it.
        client: The client.

    Returns:
        An answer for each identifier.
    """
    groups = batches_by_site(identifiers)
    asked = {_url(site, names, language): (site, names) for site, names in groups}
    found = {}
    for answer in fetch_json(asked, _Entities, client, "wikidata"):
        site, names = asked[answer.url]
        entities = answer.content.entities if answer.content else {}
        by_name = _by_name(site, entities)
        for name in names:
            identifier = Identifier(site, name)
            entity = by_name.get(name)
            if answer.content is None:
                is_refused = answer.status == "not_found"
                outcome = ItemAnswer(
                    answer.status, answer.reason, answer.fetched_at, None, is_refused
                )
            elif entity is None or entity.id is None:
                is_odd = _is_odd(site, name, entities)
                reason = (
                    f"what Wikidata says of {identifier} is not as expected"
                    if is_odd
                    else f"Wikidata has no item {identifier}"
                )
                outcome = ItemAnswer("not_found", reason, answer.fetched_at, None)
            else:
                item = _item(entity.id, entity, language)
                outcome = ItemAnswer("ok", "", answer.fetched_at, item)
            found[identifier] = outcome
    return found


def _url(site: str, names: list[str], language: str) -> str:
    languages = dict.fromkeys([language, "en", _ALL_LANGUAGES])
    sites = dict.fromkeys([wikipedia_site(language), *([site] if site != WIKIDATA else [])])
    query = {
        "action": "wbgetentities",
        "props": "labels|descriptions|claims|sitelinks",
        "languages": "|".join(languages),
        "sitefilter": "|".join(sites),
        "format": "json",
        "maxlag": _MAX_LAG_SECONDS,
    }
    who = f"ids={joined(names)}" if site == WIKIDATA else f"sites={site}&titles={joined(names)}"
    return f"{API}?{urlencode(query)}&{who}"


def _by_name(site: str, entities: Mapping[str, _Entity | None]) -> dict[str, _Entity]:
    """Returns the existing entities by their requested names."""
    existing = {key: each for key, each in entities.items() if each and each.missing is None}
    if site != WIKIDATA:
        links = ((each.sitelinks.get(site), each) for each in existing.values())
        return {link.title: each for link, each in links if link}
    # A merged item has the requested number as key and the number of its target as `id`.
    return {entity.id: entity for entity in existing.values() if entity.id} | existing


def _is_odd(site: str, name: str, entities: Mapping[str, _Entity | None]) -> bool:
    """Returns whether a name without an item may belong to a malformed entity.

    Articles are requested by title, and a malformed entity has no title: it may be any title that
    Wikidata does not report as missing.
    """
    if site == WIKIDATA:
        return name in entities and entities[name] is None
    missing = {each.title for each in entities.values() if each and isinstance(each.title, str)}
    return None in entities.values() and name not in missing


def _item(wikidata_id: str, entity: _Entity, language: str) -> Item:
    names = [language, _ALL_LANGUAGES, "en"]
    return Item(
        wikidata_id,
        _first(entity.labels, names, MAX_NAME) or None,
        _first(entity.descriptions, [language, "en"], MAX_DESCRIPTION),
        _image(entity.claims.images),
        {site: link.title for site, link in entity.sitelinks.items() if normal_title(link.title)},
    )


def _first(terms: dict[str, _Term], languages: list[str], max_characters: int) -> str:
    """Returns the first text in the order of the languages, "" if there is none."""
    texts = (clean_text(terms[each].value, max_characters) for each in languages if each in terms)
    return next((text for text in texts if text), "")


def _image(statements: list[_Statement]) -> str | None:
    """Returns the file of the first preferred statement, else of the first normal one."""
    for rank in ("preferred", "normal"):
        for statement in statements:
            value = statement.mainsnak.datavalue.value if statement.mainsnak.datavalue else None
            title = normal_title(value) if isinstance(value, str) else None
            if statement.rank == rank and title:
                return title
    return None
