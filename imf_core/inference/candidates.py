"""The questions that `predict` asks, and the answers that it accepts.

In: the graph. An entity is asked about a relation where entities like it have the relation, or
where train has answers and such questions mostly have more. An answer is accepted where entities
like it answer the relation, and where neither of the fact's two questions is used up.
"""

import numpy as np
import torch
from torch import Tensor

from imf_core.data.graph import Graph
from imf_core.data.known_tails import KnownTails, known_tails_in
from imf_core.inference.kinds import Affinities, estimate_affinities
from imf_core.inference.used_up import FurtherAnswers, share_with_more

SHARE_OF_ANSWERS = 0.2
"""Affinity that an answer needs, as a share of the affinity that a question needs. Few rivers flow
through a city, so an answer may be rare among its kind; no currency does."""


def plausible_queries(
    known: KnownTails,
    num_relations: int,
    min_affinity: float,
    max_queries: int,
    affinities: Affinities | None = None,
) -> Tensor:
    """Lists queries (entity, relation with inverses) that make sense for the entity.

    The affinity of an entity to a relation that it lacks is that of `estimate_affinities`. To a
    relation that it has it is the share that `share_with_more` gives: most borders have a next one,
    no capital has.

    Args:
        known: Facts that count as known, with inverses.
        num_relations: R.
        min_affinity: Queries below it are left out.
        max_queries: The queries of highest affinity are kept; ties in order of entity, relation.
        affinities: Affinities of the known facts; estimated where they are not given.

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
        min_affinity: An answer is refused where its affinity to the relation is below
            `SHARE_OF_ANSWERS` of this value. A new fact is refused as well where one of its two
            questions has known answers and a smaller share of such questions has more.
    """

    def __init__(
        self, graph: Graph, affinities: Affinities, further: FurtherAnswers, min_affinity: float
    ) -> None:
        self._num_relations, self._known = graph.num_relations, known_tails_in(graph)
        self._signature_ids = affinities.signature_ids
        self._fits = affinities.members(SHARE_OF_ANSWERS * min_affinity)
        self._further, self._least_share = further, min_affinity

    def accepted(self, queries: Tensor) -> Tensor:
        """Says which answers to some queries are accepted.

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
