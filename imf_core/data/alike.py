"""Labels that look alike: equal but for spaces, invisible characters and the form of letters.

In: labels. Out: groups of labels that a person would hold for one, and words that show how they
differ. Labels are compared here and never changed.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from imf_core.characters import plain_form


def find_alike(labels: Iterable[str]) -> list[list[str]]:
    """Groups the labels of one plain form: groups of at least two, in the order of first labels."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for label in labels:
        groups[plain_form(label)].append(label)
    return [group for group in groups.values() if len(group) > 1]


def show_alike(labels: Sequence[str]) -> str:
    """Writes labels so that one sees how they differ: every character beyond ASCII as its code."""
    return " and ".join(map(ascii, labels))
