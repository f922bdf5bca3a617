r"""Makes output to a terminal or a log safe: text of the graph cannot move the cursor or hide text.

A name may have escape sequences, marks of text direction, or invisible characters. In: any text.
Out: the same text with such characters as escapes (`\x1b`, `\u202e`). Letters, accents, emoji and
joiners of all scripts stay unchanged.
"""

import inspect
import logging
import re
import sys
from typing import Any, TextIO, cast

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
