"""Invisible characters, and a plain form that is equal for texts that look the same.

In: any text. Out: whether a character is visible, or the text without invisible ones. `terminal`
escapes the format characters, `data.alike` and `inference.names` compare plain forms,
`lookup.cleaning` drops the format characters of web pages.
"""

import unicodedata

JOINERS = "\u200c\u200d"
"""Format characters that are part of the spelling: Persian, Indic scripts and emoji need them."""

_VISIBLE_FORMATS = frozenset(
    [
        *map(chr, range(0x600, 0x606)),
        *"\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd",
        *map(chr, range(0x13430, 0x13440)),
    ]
)
"""Marks of Arabic, Syriac, Kaithi and Egyptian."""
_INVISIBLE_LETTERS = frozenset("\u115f\u1160\u3164\uffa0")
_INVISIBLE_MARKS = frozenset(
    [
        "\u034f",
        *map(chr, range(0x180B, 0x1810)),
        *map(chr, range(0xFE00, 0xFE10)),
        *map(chr, range(0xE0100, 0xE01F0)),
    ]
)
"""The joiner of graphemes and the selectors of variants."""


def is_format(character: str) -> bool:
    """Returns whether a character formats or controls a text and is not white space."""
    is_any = unicodedata.category(character) in {"Cf", "Cc"} and not character.isspace()
    return is_any and character not in _VISIBLE_FORMATS


def is_invisible(character: str) -> bool:
    """Returns whether a character is invisible: a format character, an empty letter or mark."""
    is_empty = character in _INVISIBLE_LETTERS or character in _INVISIBLE_MARKS
    return is_empty or is_format(character)


def plain_form(text: str) -> str:
    """Returns a text after NFKC, without invisible characters and outer or repeated spaces.

    NFKC, not NFC: it makes full-width letters, ligatures and no-break spaces equal to plain ones.
    """
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    kept = "".join(each for each in text if not is_invisible(each))
    return " ".join(unicodedata.normalize("NFKC", kept).split())
