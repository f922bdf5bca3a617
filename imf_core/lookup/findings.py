"""What the Wikimedia projects together say about an identifier: one `Finding` each.

Wikidata comes first: it knows the item, a line about it, its image and its articles. Wikipedia
knows the item of an article that was renamed, and gives longer texts, and an image where Wikidata
has none. Commons says whose the image is.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from imf_core.config import MediaParams
from imf_core.lookup import wikidata, wikipedia
from imf_core.lookup.asking import Status, Web
from imf_core.lookup.commons import Credit, image_url, look_up_credits
from imf_core.lookup.identifiers import WIKIDATA, Identifier, wikipedia_site
from imf_core.lookup.renamed import look_up_renamed
from imf_core.lookup.wikidata import Item, ItemAnswer, look_up_items
from imf_core.lookup.wikipedia import SummaryAnswer, look_up_summaries


@dataclass(frozen=True)
class Need:
    """What of an entity is to be looked up."""

    text: bool
    image: bool

    @property
    def is_any(self) -> bool:
        """Whether there is anything to look up."""
        return self.text or self.image

    def __or__(self, other: "Need") -> "Need":
        """What either needs."""
        return Need(self.text or other.text, self.image or other.image)


@dataclass(frozen=True)
class Text:
    """A description, "" where there is none; the page it is from, and its licence."""

    text: str
    page: str
    licence: str


@dataclass(frozen=True)
class Image:
    """Where an image is.

    Attributes:
        source: URL, at the width asked for.
        file: Its name on Commons; None for a file of a Wikipedia's own.
        credit: Whose it is; None for a file of a Wikipedia's own.
    """

    source: str
    file: str | None
    credit: Credit | None


@dataclass(frozen=True)
class Finding:
    """What is known of an identifier.

    Attributes:
        status: not_found where there is no item; unreachable where any of the questions was not
            answered, be there something of the others or not.
        reason: Why it is not ok, else "".
        fetched_at: When it was last asked, ISO 8601.
        page: The page for people.
        wikidata_id: Of the item.
        name: Its label.
        description: Where a text was needed.
        image: Where an image was needed.
    """

    status: Status
    reason: str
    fetched_at: str | None
    page: str
    wikidata_id: str | None = None
    name: str | None = None
    description: Text | None = None
    image: Image | None = None


def find(
    needs: Mapping[Identifier, Need], params: MediaParams, web: Web
) -> dict[Identifier, Finding]:
    """Asks for everything that is needed of some identifiers.

    Args:
        needs: What to ask for. All their answers are in memory together.
        params: Where to ask, in which language, and the width of images.
        web: How the web is asked.

    Returns:
        A finding for each identifier.
    """
    items = look_up_items(needs, params.language, web)
    items |= look_up_renamed(items, params.language, web)
    articles = _articles(needs, items, params)
    summaries = look_up_summaries(articles.values(), web)
    by_identifier = {each: summaries[article] for each, article in articles.items()}
    files = {}
    for identifier, need in needs.items():
        file = _file(items[identifier].item, by_identifier.get(identifier))
        if need.image and file:
            files[identifier] = file
    credit_of = look_up_credits(set(files.values()), web)
    return {
        identifier: _finding(
            identifier,
            need,
            items[identifier],
            articles.get(identifier),
            by_identifier.get(identifier),
            _image(
                need,
                files.get(identifier),
                credit_of,
                by_identifier.get(identifier),
                params.image_width_pixels,
            ),
        )
        for identifier, need in needs.items()
    }


def _articles(
    needs: Mapping[Identifier, Need], items: Mapping[Identifier, ItemAnswer], params: MediaParams
) -> dict[Identifier, Identifier]:
    """Returns the articles to be asked for."""
    if params.source != "wikipedia":
        return {}
    site = wikipedia_site(params.language)
    articles = {}
    for identifier, need in needs.items():
        item = items[identifier].item
        if item and site in item.articles and (need.text or not item.image):
            articles[identifier] = Identifier(site, item.articles[site])
    return articles


def _file(item: Item | None, summary: SummaryAnswer | None) -> str | None:
    """Returns the file on Commons: the item's own, else that of its article."""
    if item and item.image:
        return item.image
    return summary.image_file if summary else None


def _image(
    need: Need,
    file: str | None,
    credit_of: Mapping[str, Credit],
    summary: SummaryAnswer | None,
    width_pixels: int,
) -> Image | None:
    """Returns where the image is, if there is one and it is needed."""
    if file:
        return Image(image_url(file, width_pixels), file, credit_of[file])
    if need.image and summary and summary.image_url:
        return Image(summary.image_url, None, None)
    return None


def _finding(
    identifier: Identifier,
    need: Need,
    answer: ItemAnswer,
    article: Identifier | None,
    summary: SummaryAnswer | None,
    image: Image | None,
) -> Finding:
    """Puts the answers about one identifier together."""
    item = answer.item
    if item is None:
        return Finding(answer.status, answer.reason, answer.fetched_at, identifier.page)
    page = Identifier(WIKIDATA, item.wikidata_id).page
    description = Text(item.description, page, wikidata.LICENCE)
    faults = []
    if article and summary:
        if summary.extract:
            description = Text(summary.extract, article.page, wikipedia.LICENCE)
        if summary.status == "unreachable":
            faults.append(f"{article}: {summary.reason}")
    if image and image.credit and image.credit.fault:
        faults.append(f"licence of the image: {image.credit.fault}")
    moments = [each for each in (answer.fetched_at, summary and summary.fetched_at) if each]
    return Finding(
        "unreachable" if faults else "ok",
        "; ".join(faults),
        max(moments, default=None),
        page,
        item.wikidata_id,
        item.name,
        description if need.text else None,
        image,
    )
