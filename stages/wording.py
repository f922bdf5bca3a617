"""Formats the name, the split and the channel shares of an answer for printing."""

from collections.abc import Mapping

from imf_core.inference.fact_table import NEW

SMALLEST_SHARE = 0.005
"""Smaller shares would be printed as 0 %."""


LONGEST_NAME = 80
"""Characters of a name that are printed, at most."""


def shorten(name: str) -> str:
    """Cuts a long name."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..."


def format_split(known_in: str) -> str:
    """Formats the split of a fact: `new`, or `true (valid)`."""
    return known_in if known_in == NEW else f"true ({known_in})"


def format_channel_shares(shares: Mapping[str, float]) -> str:
    """Formats channel shares: `structural 41% textual 59%`.

    Args:
        shares: Shares by channel; their sum is one.
    """
    return " ".join(
        f"{channel} {share:.0%}" for channel, share in shares.items() if share >= SMALLEST_SHARE
    )
