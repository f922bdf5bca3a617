"""The wording of an answer's standing and of the heads' shares in it, where they are printed."""

from collections.abc import Mapping

from imf_core.inference.fact_table import NEW

SMALLEST_SHARE = 0.005
"""A smaller one would be printed as none."""


def describe_standing(known_in: str) -> str:
    """Says whether a split holds a fact: `new`, or `true (valid)`."""
    return known_in if known_in == NEW else f"true ({known_in})"


def describe_shares(shares: Mapping[str, float]) -> str:
    """Lists the heads that spoke for a fact, `structural 41% textual 59%`.

    Args:
        shares: Of each head; their sum is one.
    """
    return " ".join(
        f"{head} {share:.0%}" for head, share in shares.items() if share >= SMALLEST_SHARE
    )
