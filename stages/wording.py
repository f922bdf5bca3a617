"""The wording of what several commands and stages print alike."""

from collections.abc import Mapping

from imf_core.inference.fact_table import NEW

SMALLEST_SHARE = 0.005
"""A smaller one would be printed as none."""


def describe_standing(known_in: str) -> str:
    """Says whether a split holds a fact: `new`, or `true (valid)`."""
    return known_in if known_in == NEW else f"true ({known_in})"


def describe_rise(epochs: int) -> str:
    """Says that the last epoch is the best one, and what to set.

    Args:
        epochs: Those trained.
    """
    return (
        f"the best epoch is the last one, so more epochs may gain: set train.epochs to {2 * epochs}"
        f" (`dvc exp run -S train.epochs={2 * epochs}`); training goes on from its last kept state"
    )


def describe_shares(shares: Mapping[str, float]) -> str:
    """Lists the heads that spoke for a fact, `structural 41% textual 59%`.

    Args:
        shares: Of each head; their sum is one.
    """
    return " ".join(
        f"{head} {share:.0%}" for head, share in shares.items() if share >= SMALLEST_SHARE
    )
