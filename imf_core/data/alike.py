"""Finds labels that look alike.

Such labels differ only in spaces, quotes around them, invisible characters or the form of letters.
In: labels. Out: groups of labels that look the same to a reader, and texts that show the
difference. This module never changes labels.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from imf_core.characters import plain_form


def find_alike(labels: Iterable[str]) -> list[list[str]]:
    """Groups labels with the same plain form, ignoring quotes around them.

    Returns:
        Groups of at least two, in the order of their first labels.
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for label in labels:
        groups[_without_quotes(plain_form(label))].append(label)
    return [group for group in groups.values() if len(group) > 1]


def _without_quotes(label: str) -> str:
    """Removes a pair of quotes around a label, as in tables of other programs."""
    is_quoted = len(label) > 2 and label[0] == label[-1] and label[0] in "\"'"
    return label[1:-1].strip() if is_quoted else label


def show_alike(labels: Sequence[str]) -> str:
    """Formats labels with codes for characters beyond ASCII, so that differences are visible."""
    return " and ".join(map(ascii, labels))
