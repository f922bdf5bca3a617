"""The user agent, and the pauses between attempts."""

import hashlib
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from imf_core.config import FetchParams

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 1.0e9
"""Longer pauses are cut to this."""

_SECONDS = re.compile(r"[0-9]+(\.[0-9]*)?")


def user_agent(params: FetchParams) -> str:
    """Returns the User-Agent header, with the contact of the parameters."""
    contact = f"; +{params.contact}" if params.contact else ""
    return f"imf/0.1 (multimodal knowledge-graph completion{contact})"


def back_off_seconds(url: str, failures: int) -> float:
    """Returns the pause before another attempt: about 1, 2, 4, ... s, spread by the URL's hash."""
    digest = hashlib.sha256(f"{failures} {url}".encode()).digest()
    spread = 0.5 + int.from_bytes(digest[:4], "big") / 2**32
    return float(FIRST_PAUSE_SECONDS * 2.0 ** (max(failures, 1) - 1) * spread)


def retry_after_seconds(header: str | None) -> float | None:
    """Reads a Retry-After header, seconds or a date; None if it is missing or malformed."""
    text = (header or "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), LONGEST_PAUSE_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):  # no date, or none that exists
        return None
