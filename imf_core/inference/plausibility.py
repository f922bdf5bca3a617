"""Which questions make sense: affinity of entities to relations, and questions that are used up.

The signature of an entity is the set of relations, with inverses, of its train facts. Entities with
similar signatures are similar. An entity may lack facts that its kind has, but it seldom has a
relation that its kind lacks: a relation that the neighbour lacks costs much (`COST_OF_LACK`), one
that only the neighbour has costs little (`COST_OF_SURPLUS`). The weight of a neighbour falls
exponentially with this distance, as in kernel estimates for binary data (Aitchison and Aitken,
Biometrika 1976). Memory and time grow with the number of distinct signatures, far fewer than the
entities.

A question with known answers is used up if few questions of its relation and direction have more
answers: no country has two capitals. The calibrated probability of an answer assumes that its
question has a further answer, so it is multiplied by the share of questions that have one.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix, diags, vstack
from torch import Tensor

from imf_core.base.terminal import track
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import KnownTails, known_tails_in, ragged_arange
from imf_core.inference.answers import Answers, as_facts

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

    def of_entity(self, entity: int) -> NDArray[np.float32]:
        """Returns the affinity of an entity to every relation.

        Returns:
            One for the relations that it has, and for all if it has no train fact, since nothing
            is known of its kind, shape: (2R,), dtype: float32.
        """
        signature = self.signature_ids[entity]
        has = self.has[signature].toarray()[0]
        if not has.any():
            return np.ones_like(has)
        return np.asarray(has + self.affinity[signature].toarray()[0])

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
    starts = range(0, has.shape[0], _CHUNK)
    for start in track(starts, "similar entities, batches", len(starts)):
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


def estimate_own_affinities(
    known: KnownTails, num_relations: int, queries: Tensor
) -> NDArray[np.float32]:
    """Estimates the affinity of entities to relations that they have, as if they lacked them.

    Args:
        known: Facts that count as known, with inverses.
        num_relations: R.
        queries: (entity, relation with inverses) of known facts, shape: (Q, 2), dtype: long.

    Returns:
        At least `LEAST_AFFINITY`; one where the entity has several facts of the relation, or no
        other relation, so that nothing else is known of its kind, shape: (Q,).
    """
    signature_ids, has = _signatures(known, num_relations)
    counts = np.bincount(signature_ids, minlength=has.shape[0]).astype(np.float32)
    block, references, weights = _references(has, counts)
    sizes = np.asarray(references.sum(axis=1)).ravel()
    others = references.T.tocsr()
    is_only = (known.offsets.diff()[known.find(queries)] == 1).numpy()
    signature, relation = signature_ids[queries[:, 0].numpy()], queries[:, 1].numpy()
    is_only &= np.asarray(has.sum(axis=1)).ravel()[signature] > 1
    pairs, place = np.unique(
        signature[is_only] * 2 * num_relations + relation[is_only], return_inverse=True
    )
    found = np.empty(len(pairs), dtype=np.float32)
    for start in range(0, len(pairs), _CHUNK):
        chosen = slice(start, start + _CHUNK)
        mine, asked = np.divmod(pairs[chosen], 2 * num_relations)
        is_owner = others[asked].toarray()
        own_size = np.asarray(has[mine].sum(axis=1)) - 1
        shared = (has[mine] @ others).toarray() - is_owner
        distance = COST_OF_LACK * (own_size - shared) + COST_OF_SURPLUS * (sizes - shared)
        distance[shared == 0] = np.inf
        reach = _reach(distance, weights)
        reach = np.minimum(reach, LARGEST_LACK * COST_OF_LACK * own_size[:, 0])[:, None]
        distance -= COST_OF_SURPLUS * is_owner
        nearness = np.exp(-np.maximum(distance - reach, 0)) * weights
        rows, itself = np.arange(len(mine)), block[mine]
        nearness[rows, itself] -= nearness[rows, itself] / weights[itself]
        with_it = (nearness * is_owner).sum(axis=1)
        found[chosen] = with_it / (nearness.sum(axis=1) + 1)
    affinity = np.ones(len(queries), dtype=np.float32)
    affinity[is_only] = np.maximum(found, LEAST_AFFINITY)[place]
    return affinity


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


USED_UP = 0.5
"""A question is used up if fewer than this share of similar questions have a further answer."""

ENOUGH_QUESTIONS = 5
"""Least number of questions in an estimate; questions with fewer answers fill it up."""


class FurtherAnswers:
    """Estimates the probability of a further answer for the questions of a graph.

    Args:
        graph: For a new fact, facts of all splits are known; for a fact of valid or test, facts of
            train.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def of_queries(self, queries: Tensor) -> Tensor:
        """Returns, for each query, the share of similar questions that have a further answer.

        Args:
            queries: (entity, relation with inverses), shape: (B, 2), dtype: long.

        Returns:
            Shares, where answers of all splits are known; one for a query without known answers,
            shape: (B,), dtype: float32.
        """
        known, shares = self._everywhere
        return shares[known.find(queries)]  # index -1: the appended one

    def used_up(self, queries: Tensor, least_share: float = USED_UP) -> Tensor:
        """Returns which answers make a new fact with a used-up question.

        Args:
            queries: (entity, relation with inverses), shape: (B, 2), dtype: long, on the CPU.
            least_share: A question with a smaller share is used up.

        Returns:
            Mask, all true for a used-up query, shape: (B, E), dtype: bool.
        """
        known, shares = self._everywhere
        inverses = (queries[:, 1] + self._graph.num_relations) % (2 * self._graph.num_relations)
        relations, place = inverses.unique(return_inverse=True)
        is_full = torch.zeros(len(relations), self._graph.num_entities, dtype=torch.bool)
        of_relation = known.queries[:, 1].contiguous()
        starts, ends = (
            torch.searchsorted(of_relation, relations, right=right) for right in (False, True)
        )
        rows, index = ragged_arange(starts, ends - starts)
        is_full[rows, known.queries[index, 0]] = shares[index] < least_share
        return is_full[place] | (self.of_queries(queries) < least_share)[:, None]

    def of_facts(self, facts: NDArray[np.int64]) -> Tensor:
        """Returns the shares for both questions that each fact answers.

        Args:
            facts: (head, relation, tail), shape: (N, 3), dtype: int64.

        Returns:
            Shares of the questions for the tail and for the head; one without another known answer,
            and one for facts of train, shape: (N, 2), dtype: float32.
        """
        (every, after_every), asked = self._everywhere, self._questions(facts)
        new = torch.stack([after_every[every.find(each)] for each in asked], dim=1)
        is_known = every.contains(asked[0], torch.from_numpy(facts[:, 2]))
        return torch.where(is_known[:, None], self.from_train(facts), new)

    def from_train(self, facts: NDArray[np.int64]) -> Tensor:
        """Returns the shares of `of_facts`, with the answers of train alone as known ones.

        Args:
            facts: (head, relation, tail), shape: (N, 3), dtype: int64.
        """
        (train, after_train), asked = self._train, self._questions(facts)
        shares = torch.stack([after_train[train.find(each)] for each in asked], dim=1)
        is_train = train.contains(asked[0], torch.from_numpy(facts[:, 2]))
        return shares.masked_fill(is_train[:, None], 1.0)

    def _questions(self, facts: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Returns the questions about the tail and the head of facts, shapes: (N, 2), (N, 2)."""
        head, relation, tail = torch.from_numpy(facts).unbind(dim=1)
        inverse = relation + self._graph.num_relations
        return torch.stack([head, relation], 1), torch.stack([tail, inverse], 1)

    def is_known(self, facts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Returns which facts are in some split, shape: (N, 3) -> (N,)."""
        queries, tails = torch.from_numpy(facts[:, :2]), torch.from_numpy(facts[:, 2])
        return self._everywhere[0].contains(queries, tails).numpy()

    def weigh(self, answers: Answers) -> Answers:
        """Multiplies each probability by the smaller share of the answer's two questions."""
        further = self.of_facts(as_facts(answers.answered, self._graph.num_relations))
        probability = answers.probability * further.min(dim=1).values
        return replace(answers, probability=probability, further=further)

    @cached_property
    def _train(self) -> tuple[KnownTails, Tensor]:
        return _with_shares(known_tails_in(self._graph, ["train"]))

    @cached_property
    def _everywhere(self) -> tuple[KnownTails, Tensor]:
        return _with_shares(known_tails_in(self._graph))


def share_with_more(known: KnownTails) -> NDArray[np.float32]:
    """Estimates the probability that each known query has a further answer.

    For a query with n answers, every query of the relation with n or more answers is a trial, and a
    success if it has more than n. The estimate is the share of successes. If there are too few
    trials, as for the query with most answers, the trials at n - 1, n - 2 and so on are added. One
    success and one failure are added as well (Laplace's rule).

    Args:
        known: Facts that count as known, with inverses.

    Returns:
        Shares in (0, 1), in the order of `known.queries`, shape: (Q,), dtype: float32.
    """
    counts = known.offsets.diff().numpy()
    _, sizes = np.unique(known.queries[:, 1].numpy(), return_counts=True)  # sorted by relation
    shares = [_share_with_more(mine) for mine in np.split(counts, np.cumsum(sizes)[:-1])]
    return np.concatenate(shares).astype(np.float32)


def _share_with_more(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Estimates the shares of one relation's queries from their numbers of known answers."""
    if not len(counts):
        return np.empty(0)
    # trials[n]: queries with n or more answers; `until[n]` sums the trials at 1 to n.
    trials = np.bincount(counts)[::-1].cumsum()[::-1]
    until = np.append(np.append(0, trials[1:].cumsum()), trials[1:].sum())
    lowest = np.searchsorted(until[:-1], until[counts] - ENOUGH_QUESTIONS, side="right") - 1
    lowest = np.maximum(lowest, 0)
    num_trials = until[counts] - until[lowest]
    successes = until[counts + 1] - until[lowest + 1]
    return np.asarray((successes + 1) / (num_trials + 2))


def _with_shares(known: KnownTails) -> tuple[KnownTails, Tensor]:
    """Returns known answers and their shares; index -1 (no known answer) is a share of one."""
    return known, torch.cat([torch.from_numpy(share_with_more(known)), torch.ones(1)])
