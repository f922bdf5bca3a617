"""Cleans texts of the web: plain, on one line, of bounded length.

Text of a page that anyone may edit is untrusted: it may contain control characters, marks of text
direction, markup, or a whole book.
"""

import re
import unicodedata
from html.parser import HTMLParser

from imf_core.characters import JOINERS, is_format

_MAX_HTML = 20_000
_MARKED_SECTION = re.compile(r"<!\[[^>]*>?")
"""A marked section: browsers hide it, Python's parser fails on it."""
_VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "wbr"})
_BREAKING = frozenset({"br", "div", "p", "li", "td", "tr"})


def clean_text(text: str, max_characters: int) -> str:
    """Returns one line of plain text, cut to a length."""
    return " ".join("".join(map(_clean, text)).split())[:max_characters].rstrip()


def text_of_html(html: str, max_characters: int) -> str:
    """Returns the visible text of a piece of HTML, cleaned."""
    parser = _VisibleText()
    parser.feed(_MARKED_SECTION.sub("", html[:_MAX_HTML]))
    parser.close()
    return clean_text("".join(parser.parts), max_characters)


def _clean(character: str) -> str:
    category = unicodedata.category(character)
    if category in {"Cc", "Zl", "Zp"}:
        return " "
    # Cs: half a surrogate pair, which UTF-8 cannot encode.
    is_dropped = category == "Cs" or (is_format(character) and character not in JOINERS)
    return "" if is_dropped else character


class _VisibleText(HTMLParser):
    """Collects the visible text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Starts hiding at a hidden element, and counts the elements inside it."""
        if tag in _BREAKING:
            self.parts.append(" ")
        style = (dict(attrs).get("style") or "").replace(" ", "").lower()
        starts = tag in {"script", "style"} or "display:none" in style
        if tag not in _VOID and (self._hidden or starts):
            self._hidden += 1

    def handle_endtag(self, tag: str) -> None:
        """Stops hiding at the end of the hidden element."""
        if tag not in _VOID and self._hidden:
            self._hidden -= 1

    def handle_data(self, data: str) -> None:
        """Keeps visible text."""
        if not self._hidden:
            self.parts.append(data)
