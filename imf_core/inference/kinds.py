"""Affinity of an entity to a relation: the share of similar entities that have the relation.

The signature of an entity is the set of relations, with inverses, of its train facts. Entities with
similar signatures are similar. An entity may lack facts that its kind has, but it seldom has a
relation that its kind lacks. So a relation that the neighbour lacks costs much (`COST_OF_LACK`),
and a relation that only the neighbour has costs little (`COST_OF_SURPLUS`). The weight of a
neighbour falls exponentially with this distance, as in kernel estimates for binary data (Aitchison
and Aitken, Biometrika 1976); the nearest neighbours have equal weight, and entities without a
common relation have none.

In: the known facts. Out: sparse affinities of the distinct signatures, which are far fewer than the
entities. Memory and time grow with the number of distinct signatures and of co-occurring relations.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix, diags, vstack

from imf_core.data.known_tails import KnownTails

COST_OF_LACK = 6.0
"""Distance for each relation of the entity that the neighbour lacks."""

COST_OF_SURPLUS = 1.0
"""Distance for each relation of the neighbour that the entity lacks."""

NEAREST = 20
"""Rank of the neighbour at the distance called reach; nearer entities have full weight."""

LARGEST_LACK = 1 / 3
"""Largest share of the entity's relations that a neighbour of full weight may lack."""

LEAST_AFFINITY = 0.01
"""Smaller affinities are zero."""

REFERENCES = 1 << 13
"""Largest number of signatures that others are compared with."""

_CHUNK = 256
"""Signatures compared at once."""


@dataclass(frozen=True)
class Affinities:
    """Affinities of the K distinct signatures to relations that they lack.

    Attributes:
        signature_ids: Signature of each entity, shape: (E,), dtype: int64.
        has: Relations of each signature, shape: (K, 2R), dtype: float32, values: one.
        affinity: Share of similar entities that have a relation, zero for the relations of the
            signature, shape: (K, 2R), dtype: float32.
    """

    signature_ids: NDArray[np.int64]
    has: csr_matrix
    affinity: csr_matrix

    def at_least(self, least: float) -> tuple[NDArray[np.int64], ...]:
        """Lists pairs of an entity and a relation that it lacks, with their affinity.

        Args:
            least: Least affinity of a pair.

        Returns:
            Entity, relation and affinity of each pair, in order of entity and relation,
            shapes: (P,), (P,), (P,).
        """
        kept = _keep(self.affinity, least)[self.signature_ids].tocoo()
        order = np.lexsort([kept.col, kept.row])
        return kept.row[order].astype(np.int64), kept.col[order].astype(np.int64), kept.data[order]

    def members(self, least: float) -> csc_matrix:
        """Returns which signatures have a relation, or an affinity of at least `least` to it.

        Returns:
            shape: (K, 2R), dtype: bool.
        """
        return (self.has + _keep(self.affinity, least)).astype(bool).tocsc()


def estimate_affinities(known: KnownTails, num_relations: int) -> Affinities:
    """Estimates the affinity of each entity to each relation that it lacks.

    The comparison leaves out the relation itself. One entity without the relation is added to the
    similar ones, so few entities give a small affinity.

    Args:
        known: Facts that count as known, with inverses.
        num_relations: R.
    """
    signature_ids, has = _signatures(known, num_relations)
    counts = np.bincount(signature_ids, minlength=has.shape[0]).astype(np.float32)
    block, references, weights = _references(has, counts)
    sizes = np.asarray(references.sum(axis=1)).ravel()
    weighted = (diags(weights) @ references).tocsr()
    owners, others = weighted.T.tocsr(), references.T.tocsr()
    parts = []
    for start in range(0, has.shape[0], _CHUNK):
        mine = has[start : start + _CHUNK]
        shared = (mine @ others).toarray()
        own_size = np.asarray(mine.sum(axis=1))
        lack, surplus = own_size - shared, sizes - shared
        distance = COST_OF_LACK * lack + COST_OF_SURPLUS * surplus
        distance[shared == 0] = np.inf
        reach = _reach(distance, weights)
        reach = np.minimum(reach, LARGEST_LACK * COST_OF_LACK * own_size[:, 0])[:, None]
        of_others = np.exp(-np.maximum(distance - reach, 0))
        of_owners = np.exp(-np.maximum(distance - COST_OF_SURPLUS - reach, 0))
        itself = block[start : start + _CHUNK]
        rows = np.arange(len(itself))
        own = references[itself].toarray()
        with_it = (owners @ of_owners.T).T - own * of_owners[rows, itself][:, None]
        without_it = (of_others @ weights)[:, None] - (owners @ of_others.T).T
        without_it -= (1 - own) * of_others[rows, itself][:, None]
        affinity = with_it / (with_it + np.maximum(without_it, 0) + 1)
        affinity[(mine.toarray() > 0) | (own_size == 0) | (affinity < LEAST_AFFINITY)] = 0
        parts.append(csr_matrix(affinity.astype(np.float32)))
    return Affinities(signature_ids, has, vstack(parts, format="csr"))


def _signatures(known: KnownTails, num_relations: int) -> tuple[NDArray[np.int64], csr_matrix]:
    """Numbers the distinct signatures, in the order of their relations' ids."""
    entity, relation = known.queries.T.numpy()
    shape = (known.num_entities, 2 * num_relations)
    has = csr_matrix((np.ones(len(entity), dtype=np.float32), (entity, relation)), shape=shape)
    has.sort_indices()
    keys = [
        tuple(has.indices[start:stop].tolist())
        for start, stop in zip(has.indptr[:-1], has.indptr[1:], strict=True)
    ]
    first = {key: entity for entity, key in reversed(list(enumerate(keys)))}
    place = {key: number for number, key in enumerate(sorted(first))}
    signature_ids = np.array([place[key] for key in keys], dtype=np.int64)
    return signature_ids, has[[first[key] for key in place]]


def _references(
    has: csr_matrix, counts: NDArray[np.float32]
) -> tuple[NDArray[np.int64], csr_matrix, NDArray[np.float32]]:
    """Chooses the reference signatures for comparison: all, or one per block.

    Neighbours in sorted order are similar; the most frequent signature of a block represents it.

    Returns:
        Reference of each signature, shape: (K,); relations of the references, shape: (references,
        2R); and their numbers of entities, shape: (references,).
    """
    number = has.shape[0]
    block = np.arange(number) * min(number, REFERENCES) // max(number, 1)
    starts = np.searchsorted(block, np.arange(block[-1] + 1))
    most_frequent = np.lexsort([-counts, block])[starts]
    return block, has[most_frequent], np.add.reduceat(counts, starts)


def _reach(distance: NDArray[np.float32], counts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the distance of the `NEAREST`th other entity, or of the farthest if there are fewer.

    Args:
        distance: Distance of B signatures to the references, shape: (B, references).
        counts: Entities of each reference, shape: (references,).

    Returns:
        shape: (B,).
    """
    nearest = np.arange(distance.shape[1])[None].repeat(len(distance), axis=0)
    if distance.shape[1] > NEAREST + 1:
        nearest = np.argpartition(distance, NEAREST, axis=1)[:, : NEAREST + 1]
    near = np.take_along_axis(distance, nearest, axis=1)
    order = np.argsort(near, axis=1, kind="stable")
    near = np.take_along_axis(near, order, axis=1)
    nearest = np.take_along_axis(nearest, order, axis=1)
    enough = counts[nearest].cumsum(axis=1) - 1 >= NEAREST
    place = np.where(enough.any(axis=1), enough.argmax(axis=1), near.shape[1] - 1)
    return np.asarray(near[np.arange(len(near)), place])


def _keep(affinity: csr_matrix, least: float) -> csr_matrix:
    """Drops the affinities below a bound."""
    kept = affinity.copy()
    kept.data[kept.data < least] = 0
    kept.eliminate_zeros()
    return kept
