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

    The affinity of an entity e to a relation r is the largest share, over the relations s that e
    has a fact of, of entities with s that also have r. An entity that has r itself has affinity
    one, so that further answers of a known query are asked for as well.

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
    chosen = _largest(affinity, min_affinity, max_queries)
    return torch.from_numpy(chosen)


def _largest(
    affinity: NDArray[np.float32], min_affinity: float, max_queries: int
) -> NDArray[np.int64]:
    """Returns positions of the largest positive values, largest first, shape: (Q, 2)."""
    rows, columns = np.nonzero((affinity >= min_affinity) & (affinity > 0))
    order = np.argsort(-affinity[rows, columns], kind="stable")[:max_queries]
    return np.stack([rows[order], columns[order]], axis=1).astype(np.int64)
