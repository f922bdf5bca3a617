"""Which queries are worth asking: relations that an entity plausibly has."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imf_core.data.known_tails import KnownTails


def plausible_queries(
    known: KnownTails, num_relations: int, min_affinity: float, max_queries: int
) -> Tensor:
    """Lists queries (entity, relation with inverses) that make sense for the entity.

    The affinity of an entity e to a relation r that it lacks is the largest share, over the
    relations s that e has a fact of, of entities with s that also have r. To a relation that e has
    it is the share that `share_with_more` gives: most borders have a next one, no capital has.

    Args:
        known: Facts that count as known, with inverses.
        num_relations: R.
        min_affinity: Queries below it are left out.
        max_queries: The queries of highest affinity are kept; ties in order of entity, relation.

    Returns:
        Most plausible first, shape: (Q, 2), dtype: long.
    """
    has = np.zeros((known.num_entities, 2 * num_relations), dtype=np.float32)
    entity, relation = known.queries.T.numpy()
    has[entity, relation] = 1.0
    together = has.T @ has
    share = together / np.maximum(np.diag(together), 1.0)[:, None]
    affinity = np.zeros_like(has)
    for known_relation in range(2 * num_relations):
        owners = np.flatnonzero(has[:, known_relation])
        affinity[owners] = np.maximum(affinity[owners], share[known_relation])
    affinity[entity, relation] = share_with_more(known)
    chosen = _largest(affinity, min_affinity, max_queries)
    return torch.from_numpy(chosen)


def share_with_more(known: KnownTails) -> NDArray[np.float32]:
    """Estimates how probably each known query has a further answer.

    Of the queries of the same relation with at least as many answers it is the share of those that
    have more, with one query of either kind added, since few say little (Laplace's rule).

    Args:
        known: Facts that count as known, with inverses.

    Returns:
        In (0, 1), in the order of `known.queries`, shape: (Q,), dtype: float32.
    """
    counts = known.offsets.diff().numpy()
    _, sizes = np.unique(known.queries[:, 1].numpy(), return_counts=True)  # sorted by relation
    shares = []
    for mine in np.split(counts, np.cumsum(sizes)[:-1]):
        ordered = np.sort(mine)
        more = len(mine) - np.searchsorted(ordered, mine, side="right")
        at_least = len(mine) - np.searchsorted(ordered, mine, side="left")
        shares.append((more + 1) / (at_least + 2))
    return np.concatenate(shares).astype(np.float32)


def share_with_room(known: KnownTails, facts: NDArray[np.int64], num_relations: int) -> Tensor:
    """Estimates how probably there is room for facts beside those that are known.

    Each fact answers two questions, one in either direction. Where a question has known answers,
    its share is that of `share_with_more`: who has a capital seldom has a second one.

    Args:
        known: Facts that count as known, with inverses.
        facts: (head, relation, tail), shape: (N, 3), dtype: int64.
        num_relations: R.

    Returns:
        The smaller share of the two; one where nothing is known, shape: (N,), dtype: float32.
    """
    share = torch.cat([torch.from_numpy(share_with_more(known)), torch.ones(1)])
    head, relation, tail = torch.from_numpy(facts).unbind(dim=1)
    asked = (torch.stack([head, relation], 1), torch.stack([tail, relation + num_relations], 1))
    one, other = (share[known.find(queries)] for queries in asked)  # -1 is the one at the end
    return torch.minimum(one, other)


def _largest(
    affinity: NDArray[np.float32], min_affinity: float, max_queries: int
) -> NDArray[np.int64]:
    """Returns positions of the largest positive values, largest first, shape: (Q, 2)."""
    rows, columns = np.nonzero((affinity >= min_affinity) & (affinity > 0))
    order = np.argsort(-affinity[rows, columns], kind="stable")[:max_queries]
    return np.stack([rows[order], columns[order]], axis=1).astype(np.int64)
