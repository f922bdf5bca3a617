"""Finds the facts that train gives away: word for word, or by a redundant relation.

In: held-out facts, train, and the redundant relations. Out: a mask for each way of reading the
answer off train.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imf_core.data.holdout import Facts, Mask, fact_keys
from imf_core.data.redundancy import Redundancy


@dataclass(frozen=True)
class Copies:
    """Masks of the facts that train gives away, shape: (N,) each; a fact may be in several.

    Attributes:
        verbatim: Train has the fact itself.
        symmetric: Train has its reverse under the same relation, which is symmetric.
        inverse: Train has its reverse under an inverse relation.
        duplicate: Train has its pair of entities, in the same direction, under a duplicate one.
    """

    verbatim: Mask
    symmetric: Mask
    inverse: Mask
    duplicate: Mask

    @property
    def given_away(self) -> Mask:
        """Union of all masks; shape: (N,)."""
        return self.verbatim | self.symmetric | self.inverse | self.duplicate


def find_copies(
    facts: Facts, train: Facts, redundancy: Redundancy, num_entities: int, num_relations: int
) -> Copies:
    """Finds the facts that train gives away.

    Args:
        facts: Facts of another split, shape: (N, 3), dtype: int64.
        train: Facts of train, shape: (M, 3), dtype: int64.
        redundancy: The redundant relations.
        num_entities: E.
        num_relations: R.
    """
    train_keys = np.unique(fact_keys(train, num_entities, num_relations))

    def is_in_train(asked: Facts) -> Mask:
        return np.isin(fact_keys(asked, num_entities, num_relations), train_keys)

    def has_partner_fact(asked: Facts, pairs: NDArray[np.int64]) -> Mask:
        """Returns whether train has the fact under a partner of its relation in `pairs`."""
        partners = np.concatenate([pairs, pairs[:, ::-1]])
        partners = partners[np.argsort(partners[:, 0], kind="stable")]
        start = np.searchsorted(partners[:, 0], asked[:, 1], side="left")
        number = np.searchsorted(partners[:, 0], asked[:, 1], side="right") - start
        # Row i of `asked` once for each partner of its relation, numbered 0, 1, ... within i.
        row = np.repeat(np.arange(len(asked)), number)
        within = np.arange(len(row)) - np.repeat(np.cumsum(number) - number, number)
        tried = asked[row]
        tried[:, 1] = partners[start[row] + within, 1]
        found: Mask = np.bincount(row[is_in_train(tried)], minlength=len(asked)) > 0
        return found

    reverse = facts[:, ::-1]
    is_loop = facts[:, 0] == facts[:, 2]
    return Copies(
        verbatim=is_in_train(facts),
        symmetric=redundancy.is_symmetric[facts[:, 1]] & ~is_loop & is_in_train(reverse),
        inverse=has_partner_fact(reverse, redundancy.inverse),
        duplicate=has_partner_fact(facts, redundancy.duplicate),
    )
