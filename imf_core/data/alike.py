"""Labels that look alike: equal but for spaces, invisible characters and the form of letters.

In: labels. Out: groups of labels that a person would hold for one, and words that show how they
differ. Labels are compared here and never changed.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

_INVISIBLE_LETTERS = frozenset("\u115f\u1160\u3164\uffa0")
_INVISIBLE_MARKS = frozenset(
    ["\u034f", *map(chr, range(0x180B, 0x1810)), *map(chr, range(0xFE00, 0xFE10))]
)


def plain_form(label: str) -> str:
    """Returns a label after NFKC, without invisible characters and outer or repeated spaces.

    NFKC, not NFC: it makes full-width letters, ligatures and no-break spaces equal to plain ones.
    """
    if label.isascii() and label.isprintable():
        return " ".join(label.split())
    kept = (each for each in label if not _is_invisible(each))
    return " ".join(unicodedata.normalize("NFKC", "".join(kept)).split())


def find_alike(labels: Iterable[str]) -> list[list[str]]:
    """Groups the labels of one plain form: groups of at least two, in the order of first labels."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for label in labels:
        groups[plain_form(label)].append(label)
    return [group for group in groups.values() if len(group) > 1]


def show_alike(labels: Sequence[str]) -> str:
    """Writes labels so that one sees how they differ: every character beyond ASCII as its code."""
    return " and ".join(map(ascii, labels))


def _is_invisible(character: str) -> bool:
    if character in _INVISIBLE_LETTERS or character in _INVISIBLE_MARKS:
        return True
    # Format and control characters; those that are white space separate words.
    return unicodedata.category(character) in {"Cf", "Cc"} and not character.isspace()
