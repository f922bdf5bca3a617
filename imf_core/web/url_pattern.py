"""Tells sources on the web from files, without a package of the web."""

import re

WEB_PATTERN = "^https?://"
"""Start of a source on the web, in letters of any case."""


def is_url(source: str) -> bool:
    """Returns whether a source is on the web rather than in a folder."""
    return re.match(WEB_PATTERN, source, re.IGNORECASE) is not None
