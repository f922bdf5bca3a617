"""Finds the items of renamed articles.

Graphs use the title of an article from the time of a dump; Wikidata has only the present title. In:
Wikidata's answers about identifiers. Out: better answers for unknown titles, by the redirects of
their Wikipedia. Without unknown titles there is no request.
"""

from collections.abc import Mapping

from imf_core.lookup.asking import Client
from imf_core.lookup.identifiers import WIKIDATA, Identifier
from imf_core.lookup.wikidata import ItemAnswer, look_up_items
from imf_core.lookup.wikipedia import look_up_titles


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
