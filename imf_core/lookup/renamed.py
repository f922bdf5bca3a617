"""Items of articles that have another title by now.

Graphs name an article as it was called when a dump was made; Wikidata knows it by today's title
alone. In: what Wikidata answered about identifiers. Out: better answers for the titles that it did
not know, which their own Wikipedia follows to an item. Where there are none nothing is asked.
"""

from collections.abc import Mapping

from imf_core.lookup.asking import Web
from imf_core.lookup.identifiers import WIKIDATA, Identifier
from imf_core.lookup.wikidata import ItemAnswer, look_up_items
from imf_core.lookup.wikipedia import look_up_titles


def look_up_renamed(
    answers: Mapping[Identifier, ItemAnswer], language: str, web: Web
) -> dict[Identifier, ItemAnswer]:
    """Asks again for the articles that Wikidata did not know, by the titles they have today.

    Args:
        answers: What Wikidata said of identifiers.
        language: Of the texts, as for `look_up_items`.
        web: How the web is asked.

    Returns:
        An answer for each article that was not found.
    """
    unknown = [
        identifier
        for identifier, answer in answers.items()
        if answer.status == "not_found" and not answer.is_refused and identifier.site != WIKIDATA
    ]
    titles = look_up_titles(unknown, web)
    items = look_up_items({each.item for each in titles.values() if each.item}, language, web)
    found = {}
    for article, title in titles.items():
        if title.item is None:
            found[article] = ItemAnswer(title.status, title.reason, title.fetched_at, None)
        else:
            found[article] = items[title.item]
    return found
