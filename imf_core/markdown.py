"""Text of the user's graph and tables as Markdown, for the artifacts on a run's page."""

import re
from collections.abc import Iterable, Sequence

from imf_core.terminal import escaped

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$&!:@]|(?<=www)\.|^[-+=])", re.IGNORECASE)
"""Marks of Markdown and HTML, of links and of lists."""
_NUMBER = re.compile(r"^(\d{1,9})([.)])")
"""The start of a numbered list."""


def escape(text: str) -> str:
    """Escapes text so that it appears unchanged on one line; a name may contain anything."""
    plain = _SPECIAL.sub(r"\\\1", escaped(" ".join(text.split())))
    return _NUMBER.sub(r"\1\\\2", plain)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Formats a table; the first column is left-aligned, the others right-aligned.

    Args:
        titles: Titles of the columns.
        rows: Cells in Markdown.

    Returns:
        Lines without a final line break.
    """
    marks = ["---", *["---:"] * (len(titles) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [titles, marks, *rows])
