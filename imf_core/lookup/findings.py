"""Looks identifiers up in the Wikimedia projects: one `Record` each.

Wikidata comes first: it has the item, a short description, its image and its articles. Wikipedia
has the items of renamed articles, longer texts, and images where Wikidata has none. Commons has
licences and authors of images.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from imf_core.config import MediaParams
from imf_core.lookup import wikidata, wikipedia
from imf_core.lookup.asking import Client, Status
from imf_core.lookup.commons import Credit, image_url, look_up_credits
from imf_core.lookup.identifiers import WIKIDATA, Identifier, wikipedia_site
from imf_core.lookup.renamed import look_up_renamed
from imf_core.lookup.wikidata import Item, ItemAnswer, look_up_items
from imf_core.lookup.wikipedia import SummaryAnswer, look_up_summaries


@dataclass(frozen=True)
class Wanted:
    """The kinds of media to look up for an entity."""

    text: bool
    image: bool

    @property
    def is_any(self) -> bool:
        """Whether any kind is wanted."""
        return self.text or self.image

    def __or__(self, other: "Wanted") -> "Wanted":
        """Returns the union of two."""
        return Wanted(self.text or other.text, self.image or other.image)


@dataclass(frozen=True)
class Text:
    """A description, "" if there is none; its page, and its licence."""

    text: str
    page: str
    licence: str


@dataclass(frozen=True)
class Image:
    """The location of an image.

    Attributes:
        source: URL at the wanted width.
        file: Its name on Commons; None for a file of a single Wikipedia.
        credit: Licence and author; None for a file of a single Wikipedia.
    """

    source: str
    file: str | None
    credit: Credit | None


@dataclass(frozen=True)
class Record:
    """The result of a look-up.

    Attributes:
        status: not_found without an item; unreachable if any request failed, even if others
            succeeded.
        reason: Reason of another status, "" for ok.
        fetched_at: Time of the last request, ISO 8601.
        page: URL of the page for readers.
        wikidata_id: Number of the item.
        name: Label of the item.
        description: The text, if wanted.
        image: The image, if wanted.
    """

    status: Status
    reason: str
    fetched_at: str | None
    page: str
    wikidata_id: str | None = None
    name: str | None = None
    description: Text | None = None
    image: Image | None = None


def find_records(
    wanted: Mapping[Identifier, Wanted], params: MediaParams, client: Client
) -> dict[Identifier, Record]:
    """Looks up the wanted media of identifiers.

    Args:
        wanted: Wanted kinds by identifier. All answers are in memory at once.
        params: The source, the language and the width of images.
        client: The client.

    Returns:
        A record for each identifier.
    """
    items = look_up_items(wanted, params.language, client)
    items |= look_up_renamed(items, params.language, client)
    articles = _articles(wanted, items, params)
    summaries = look_up_summaries(articles.values(), client)
    by_identifier = {each: summaries[article] for each, article in articles.items()}
    files = {}
    for identifier, wants in wanted.items():
        file = _file(items[identifier].item, by_identifier.get(identifier))
        if wants.image and file:
            files[identifier] = file
    credit_of = look_up_credits(set(files.values()), client)
    return {
        identifier: _record(
            identifier,
            wants,
            items[identifier],
            articles.get(identifier),
            by_identifier.get(identifier),
            _image(
                wants,
                files.get(identifier),
                credit_of,
                by_identifier.get(identifier),
                params.image_width_pixels,
            ),
        )
        for identifier, wants in wanted.items()
    }


def _articles(
    wanted: Mapping[Identifier, Wanted], items: Mapping[Identifier, ItemAnswer], params: MediaParams
) -> dict[Identifier, Identifier]:
    """Returns the articles to request."""
    if params.source != "wikipedia":
        return {}
    site = wikipedia_site(params.language)
    articles = {}
    for identifier, wants in wanted.items():
        item = items[identifier].item
        if item and site in item.articles and (wants.text or not item.image):
            articles[identifier] = Identifier(site, item.articles[site])
    return articles


def _file(item: Item | None, summary: SummaryAnswer | None) -> str | None:
    """Returns the file on Commons: of the item, else of its article."""
    if item and item.image:
        return item.image
    return summary.image_file if summary else None


def _image(
    wanted: Wanted,
    file: str | None,
    credit_of: Mapping[str, Credit],
    summary: SummaryAnswer | None,
    width_pixels: int,
) -> Image | None:
    """Returns the image, if it is wanted and there is one."""
    if file:
        return Image(image_url(file, width_pixels), file, credit_of[file])
    if wanted.image and summary and summary.image_url:
        return Image(summary.image_url, None, None)
    return None


def _record(
    identifier: Identifier,
    wanted: Wanted,
    answer: ItemAnswer,
    article: Identifier | None,
    summary: SummaryAnswer | None,
    image: Image | None,
) -> Record:
    """Combines the answers about one identifier."""
    item = answer.item
    if item is None:
        return Record(answer.status, answer.reason, answer.fetched_at, identifier.page)
    page = Identifier(WIKIDATA, item.wikidata_id).page
    description = Text(item.description, page, wikidata.LICENCE)
    failures = []
    if article and summary:
        if summary.extract:
            description = Text(summary.extract, article.page, wikipedia.LICENCE)
        if summary.status == "unreachable":
            failures.append(f"{article}: {summary.reason}")
    if image and image.credit and image.credit.failure:
        failures.append(f"licence of the image: {image.credit.failure}")
    moments = [each for each in (answer.fetched_at, summary and summary.fetched_at) if each]
    return Record(
        "unreachable" if failures else "ok",
        "; ".join(failures),
        max(moments, default=None),
        page,
        item.wikidata_id,
        item.name,
        description if wanted.text else None,
        image,
    )
