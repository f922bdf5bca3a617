"""Labels that look alike.

They are equal but for spaces, quotes around them, invisible characters and the form of letters.
In: labels. Out: groups of labels that a person would hold for one, and words that show how they
differ. Labels are compared here and never changed.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from imf_core.characters import plain_form


def find_alike(labels: Iterable[str]) -> list[list[str]]:
    """Groups labels of one plain form, without regard to quotes around them.

    Returns:
        Groups of at least two, in the order of first labels.
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for label in labels:
        groups[_without_quotes(plain_form(label))].append(label)
    return [group for group in groups.values() if len(group) > 1]


def _without_quotes(label: str) -> str:
    """Drops a pair of quotes around a label, as tables of other programs have them."""
    is_quoted = len(label) > 2 and label[0] == label[-1] and label[0] in "\"'"
    return label[1:-1].strip() if is_quoted else label


def show_alike(labels: Sequence[str]) -> str:
    """Writes labels so that one sees how they differ: every character beyond ASCII as its code."""
    return " and ".join(map(ascii, labels))
