"""Proposes facts of one entity, as the stage `predict` does for the whole graph.

The entity is asked about the relations that similar entities have, in both directions, and an
answer is accepted if similar entities give it and neither question of the fact is used up.
"""

from typing import Any

import numpy as np
import pyarrow.compute as pc
import torch

from imf_core.inference.answers import concatenate, find_answers
from imf_core.inference.completer import Completer
from imf_core.inference.fact_table import NEW, FactTable
from imf_core.inference.predict import Acceptance

MAX_QUESTIONS = 48
"""Questions asked about an entity, those of highest affinity."""

ANSWERS = 4
"""Answers to each question."""


class Proposer:
    """Proposes new facts.

    Args:
        completer: The model.
        least_affinity: As `predict.min_relation_affinity`.
    """

    def __init__(self, completer: Completer, least_affinity: float) -> None:
        graph = completer.graph
        self._completer, self._least = completer, least_affinity
        self._affinities, self._further = completer.affinities, completer.further
        self._acceptance = Acceptance(graph, self._affinities, self._further, least_affinity)
        self._table = FactTable(graph, completer.scorer.channel_names)

    def propose(self, entity: int, count: int) -> list[dict[str, Any]]:
        """Returns new facts of an entity.

        Args:
            entity: Id.
            count: Facts, at most.

        Returns:
            Rows with the columns of `FactTable.write`, most probable first; of a fact and its
            reverse under the same relation, the more probable one.
        """
        affinity = self._affinities.of_entity(entity)
        relations = np.argsort(-affinity, kind="stable")[: (affinity >= self._least).sum()]
        queries = torch.from_numpy(np.stack([np.full_like(relations, entity), relations], 1))
        queries = queries[self._further.of_queries(queries) >= self._least][:MAX_QUESTIONS]
        if not len(queries):
            return []
        scorer, calibration = self._completer.scorer, self._completer.calibration
        found = concatenate(
            find_answers(
                scorer,
                calibration,
                batch,
                self._completer.settled,
                ANSWERS,
                [self._acceptance.accepted(batch)],
            )
            for batch in queries.split(scorer.probability_batch_size(len(queries)))
        )
        found = self._further.weigh(found)
        order = torch.argsort(found.probability, descending=True, stable=True)
        facts = self._table.write(found.select(order))
        best: dict[tuple[str, frozenset[str]], dict[str, Any]] = {}
        for row in facts.filter(pc.equal(facts["known_in"], NEW)).to_pylist():
            best.setdefault((row["relation"], frozenset([row["head"], row["tail"]])), row)
        return list(best.values())[:count]
