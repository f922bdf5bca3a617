"""Groups names into requests."""

from collections.abc import Collection, Iterator, Sequence
from urllib.parse import quote

from imf_core.lookup.identifiers import Identifier

MAX_NAMES = 50
"""Limit of MediaWiki for one request."""
MAX_CHARACTERS = 5000
"""Limit for all names, quoted as in a URL: servers refuse URLs longer than about 8,000."""


def batches(names: Sequence[str]) -> Iterator[list[str]]:
    """Yields groups of names, in their order, that fit into one request."""
    group: list[str] = []
    length = 0
    for name in names:
        size = len(quote(name, safe="")) + len("%7C")
        if group and (len(group) == MAX_NAMES or length + size > MAX_CHARACTERS):
            yield group
            group, length = [], 0
        group.append(name)
        length += size
    if group:
        yield group


def batches_by_site(identifiers: Collection[Identifier]) -> Iterator[tuple[str, list[str]]]:
    """Yields the names of each site in groups that fit into one request, in sorted order."""
    for site in sorted({identifier.site for identifier in identifiers}):
        names = sorted({each.name for each in identifiers if each.site == site})
        for group in batches(names):
            yield site, group


def joined(names: Sequence[str]) -> str:
    """Formats names as one value of a query."""
    return quote("|".join(names), safe="")
