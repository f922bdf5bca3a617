"""Example answers about a graph: the surest ones to questions that have no known answer.

They show within seconds whether names and facts of a graph were read well, before a long training.
"""

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from imf_core.inference.plausibility import estimate_affinities
from imf_core.inference.predict import DEFAULT_AFFINITY
from imf_core.inference.untrained import OPERATIONS_PER_SECOND, UntrainedCompleter
from imf_core.paths.channel import count_operations

MAX_ENTITIES = 20_000
"""Larger graphs have no examples: similar entities alone would take longer than `MAX_SECONDS`."""

MAX_SECONDS = 5.0
"""Time of all scores, by the estimate for one core."""


def find_examples(completer: UntrainedCompleter, count: int) -> pa.Table:
    """Answers the questions with the surest first answers, each of another relation.

    A question has no known answer, and most entities similar to the asked one have its relation. Of
    each relation, the questions of highest affinity are scored, as many as fit in `MAX_SECONDS`.

    Args:
        completer: The graph.
        count: Questions, at most.

    Returns:
        The first answer of each question, that with the largest share of the softmax first, with
        the columns of `UntrainedCompleter.predict_tails`; at most `count` rows, none for a graph of
        more than `MAX_ENTITIES`.
    """
    queries = torch.empty(0, 2, dtype=torch.long)
    if completer.graph.num_entities <= MAX_ENTITIES:
        queries = _choose_queries(completer)
    relations = queries[:, 1] % completer.graph.num_relations
    best: list[tuple[float, pa.Table]] = []
    for relation in relations.unique():
        asked = queries[relations == relation]
        scores = completer.score_candidates(asked)
        shares = scores.softmax(dim=1).amax(dim=1).nan_to_num()  # 0 without any candidate
        surest = int(shares.argmax())
        entity, kind = asked[surest].tolist()
        answer = completer.table_of((entity, kind), scores[surest], 1)
        if len(answer):
            best.append((float(shares[surest]), answer))
    tables = [answer for _, answer in sorted(best, key=lambda each: -each[0])[:count]]
    return pa.concat_tables(tables) if tables else completer.table_of((0, 0), torch.empty(0), 1)


def _choose_queries(completer: UntrainedCompleter) -> Tensor:
    """Chooses the same number of questions of each relation, those of highest affinity.

    Returns:
        (entity, relation with inverses), shape: (Q, 2), dtype: long.
    """
    affinities = estimate_affinities(completer.known, completer.graph.num_relations)
    entity, relation, affinity = affinities.at_least(DEFAULT_AFFINITY)
    seconds = count_operations(completer.network.spec, completer.path_graph) / OPERATIONS_PER_SECOND
    order = np.lexsort([entity, -affinity, relation])
    _, first, sizes = np.unique(relation[order], return_index=True, return_counts=True)
    place = np.arange(len(order)) - np.repeat(first, sizes)  # by affinity, among its relation
    kept = order[np.lexsort([relation[order], place])[: max(1, int(MAX_SECONDS / seconds))]]
    return torch.from_numpy(np.stack([entity[kept], relation[kept]], axis=1))
