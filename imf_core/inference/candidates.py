"""The questions that `predict` asks, and the answers that it accepts.

`predict` asks about an entity and a relation if similar entities have the relation, or if train has
answers and such questions mostly have more. It accepts an answer if similar entities answer the
relation and neither of the fact's two questions is used up.
"""

import numpy as np
import torch
from torch import Tensor

from imf_core.data.graph import Graph
from imf_core.data.known_tails import KnownTails, known_tails_in
from imf_core.inference.kinds import Affinities, estimate_affinities
from imf_core.inference.used_up import FurtherAnswers, share_with_more

SHARE_OF_ANSWERS = 0.2
"""Least affinity of an answer, as a share of the least affinity of a question. A right answer may
be rare among its kind: few rivers flow through a city, but no currency does."""


def plausible_queries(
    known: KnownTails,
    num_relations: int,
    min_affinity: float,
    max_queries: int,
    affinities: Affinities | None = None,
) -> Tensor:
    """Lists plausible queries (entity, relation with inverses).

    `estimate_affinities` gives the affinity of an entity to a relation that it lacks,
    `share_with_more` to a relation that it has: high for borders, low for capitals.

    Args:
        known: Facts that count as known, with inverses.
        num_relations: R.
        min_affinity: Least affinity of a query.
        max_queries: Number of queries of highest affinity to keep; ties are in order of entity,
            relation.
        affinities: Affinities of the known facts, None to estimate them.

    Returns:
        Most plausible first, shape: (Q, 2), dtype: long.
    """
    affinities = affinities or estimate_affinities(known, num_relations)
    entity, relation, affinity = affinities.at_least(min_affinity)
    more = share_with_more(known)
    is_kept = more >= min_affinity
    queries = np.concatenate([np.stack([entity, relation], 1), known.queries.numpy()[is_kept]])
    values = np.concatenate([affinity, more[is_kept]])
    order = np.lexsort([queries[:, 1], queries[:, 0], -values])[:max_queries]
    return torch.from_numpy(queries[order])


class Acceptance:
    """The answers that `predict` accepts.

    Args:
        graph: The graph.
        affinities: Affinities of its train facts.
        further: Estimates for its questions.
        min_affinity: Refuses answers with an affinity to the relation below `SHARE_OF_ANSWERS`
            times this value. Also refuses new facts if one of their two questions has known answers
            and fewer than this share of such questions have more.
    """

    def __init__(
        self, graph: Graph, affinities: Affinities, further: FurtherAnswers, min_affinity: float
    ) -> None:
        self._num_relations, self._known = graph.num_relations, known_tails_in(graph)
        self._signature_ids = affinities.signature_ids
        self._fits = affinities.members(SHARE_OF_ANSWERS * min_affinity)
        self._further, self._least_share = further, min_affinity

    def accepted(self, queries: Tensor) -> Tensor:
        """Returns which answers to some queries are accepted.

        Args:
            queries: (entity, relation with inverses), shape: (B, 2), dtype: long, on the CPU.

        Returns:
            shape: (B, E), dtype: bool.
        """
        relation = (queries[:, 1] + self._num_relations) % (2 * self._num_relations)
        inverses, place = np.unique(relation.numpy(), return_inverse=True)
        fits = self._fits[:, inverses].toarray().T[place][:, self._signature_ids]
        accepted = torch.from_numpy(fits) & ~self._further.used_up(queries, self._least_share)
        known = self._known.lookup(queries)
        accepted[known] = torch.from_numpy(fits)[known]
        return accepted
