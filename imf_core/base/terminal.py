r"""Safe output of any text, and plain forms, in which labels that look the same are equal.

A name may hold escape sequences, marks that change the direction of the line, or invisible
characters. Printed text has them as escapes (`\x1b`, `\u202e`); letters, accents, emoji and the
joiners of all scripts stay.
"""

import inspect
import logging
import re
import sys
import time
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, TextIO, TypeVar, cast

from tqdm import tqdm

METRIC_TITLES = {
    "mrr": "MRR",
    "hits_at_1": "Hits@1",
    "hits_at_3": "Hits@3",
    "hits_at_10": "Hits@10",
}
"""Key of `metrics.json` -> title of the column in printed tables, pages and docs."""

LONGEST_NAME = 80
"""Characters of a name that are printed, at most."""

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


_TWINS = str.maketrans(
    "\u0430\u0441\u0435\u04bb\u0456\u0458\u043e\u0440\u051b\u0455\u0443\u0445\u051d\u0501"
    "\u0410\u0412\u0421\u0415\u041d\u0406\u0408\u041a\u041c\u041e\u0420\u0405\u0422\u0425"
    "\u0423\u04ae\u04c0\u0451\u0401"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf",
    "acehijopqsyxwdABCEHIJKMOPSTXYYI\xeb\xcbABEZHIKMNOPTYXo",
)
"""Cyrillic and Greek letters with the shape of a Latin one -> that one (Unicode's confusables)."""

_MIXED_WORD = re.compile(r"\w*[A-Za-z0-9]\w*")
"""A word with a Latin letter or a digit: other scripts have whole words with the same shapes."""


def find_alike(labels: Iterable[str]) -> list[list[str]]:
    """Groups labels with the same plain form, ignoring quotes around them.

    A letter of another script counts as the Latin one of its shape, unless its whole word is of
    that script.

    Returns:
        Groups of at least two, in the order of their first labels.
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for label in labels:
        plain = _without_quotes(plain_form(label))
        if not plain.isascii():
            plain = _MIXED_WORD.sub(lambda word: word[0].translate(_TWINS), plain)
        groups[plain].append(label)
    return [group for group in groups.values() if len(group) > 1]


def _without_quotes(label: str) -> str:
    """Removes a pair of quotes around a label, as in tables of other programs."""
    is_quoted = len(label) > 2 and label[0] == label[-1] and label[0] in "\"'"
    return label[1:-1].strip() if is_quoted else label


def show_alike(labels: Sequence[str]) -> str:
    """Formats labels with codes for characters beyond ASCII, so that differences are visible."""
    return " and ".join(map(ascii, labels))


_UNSAFE = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and line feed
    "\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # invisible, or turning
    "\ud800-\udfff"  # surrogates, which no encoding holds
    "\ufdd0-\ufdef\ufff0-\ufffb\ufffe\uffff"  # annotations and noncharacters
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # controls of shorthand and of music
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"  # tags
    "]"
)
"""`characters.is_format` without joiners, and more; a pattern is fast on long output."""

_CURSOR = re.compile("\r|\n*(?:\x1b\\[A)+")
"""Start of a progress bar's output: moves to the start of its line, or up to it."""


def escaped(text: str) -> str:
    """Escapes characters that a terminal would interpret or hide."""
    return _UNSAFE.sub(lambda found: _escape(ord(found[0])), text)


def protect_output() -> None:
    """Makes all later output safe, and printable in any encoding.

    Standard output and standard error are wrapped once; log handlers that already write to them
    follow. Characters that the encoding lacks become escapes too.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or isinstance(stream, _EscapingStream):
            continue
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
        protected = cast("TextIO", _EscapingStream(stream))
        setattr(sys, name, protected)
        for logger in [logging.root, *logging.root.manager.loggerDict.values()]:
            for handler in getattr(logger, "handlers", []):
                if isinstance(handler, logging.StreamHandler) and handler.stream is stream:
                    handler.setStream(protected)


class _EscapingStream:
    """A text stream that escapes its input; progress bars of tqdm may move the cursor."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes text, escaped."""
        found = _CURSOR.match(text)
        start = found.end() if found and _is_called_by_tqdm() else 0
        self._stream.write(text[:start] + escaped(text[start:]))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Writes lines, escaped."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _is_called_by_tqdm() -> bool:
    """Returns whether the write comes from a progress bar."""
    frame = inspect.currentframe()
    writer = frame and frame.f_back and frame.f_back.f_back
    return writer is not None and str(writer.f_globals.get("__name__")).startswith("tqdm.")


def _escape(code: int) -> str:
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$&!:@]|(?<=www)\.|^[-+=])", re.IGNORECASE)
"""Marks of Markdown and HTML, of links and of lists."""
_NUMBER = re.compile(r"^(\d{1,9})([.)])")
"""The start of a numbered list."""


def escape(text: str) -> str:
    """Escapes text so that it appears unchanged on one line; a name may contain anything."""
    plain = _SPECIAL.sub(r"\\\1", escaped(" ".join(text.split())))
    return _NUMBER.sub(r"\1\\\2", plain)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], texts: Collection[str] = ()) -> str:
    """Formats a table; the first column is left-aligned, the others right-aligned.

    Args:
        titles: Titles of the columns.
        rows: Cells in Markdown.
        texts: Titles of further columns that are left-aligned.

    Returns:
        Lines without a final line break.
    """
    marks = ["---", *("---" if title in texts else "---:" for title in titles[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [titles, marks, *rows])


def shorten(text: str, longest: int = LONGEST_NAME) -> str:
    """Cuts a text to `longest` characters, three of them dots."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


T = TypeVar("T")

LINE_SECONDS = 60.0
"""Seconds between two lines in a log. A shorter loop prints none."""

BAR_SECONDS = 2.0
"""Seconds before a terminal shows the bar. A shorter loop shows none."""


def track(items: Iterable[T], title: str, total: int, *, is_shown: bool = True) -> Iterator[T]:
    """Yields items and shows how many are done.

    Args:
        items: Taken lazily.
        title: Name of the work.
        total: Number of the items.
        is_shown: False in all processes but the first.
    """
    if not is_shown:
        yield from items
    elif sys.stderr is not None and sys.stderr.isatty():
        yield from tqdm(items, title, total, leave=False, delay=BAR_SECONDS)
    else:
        yield from _print_lines(items, title, total)


def _print_lines(items: Iterable[T], title: str, total: int) -> Iterator[T]:
    start = printed = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - printed >= LINE_SECONDS:
            left = (now - start) / done * (total - done)
            print(f"{title}: {done:,} of {total:,}, about {format_minutes(left)} left", flush=True)
            printed = now
        yield item


def format_minutes(seconds: float) -> str:
    """Returns a duration in minutes, or in seconds below two minutes."""
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes >= 2 else f"{seconds:.0f} s"
