"""Bounds of the work on a large graph, in scores: one per query and entity.

A stage would otherwise take hours where both the facts and the entities are many. The bounds leave
graphs of up to 20,000 entities and 10,000 facts of valid as they are. The ranks of `evaluate` have
no bound: they cover all facts of valid and test and all entities.
"""

import torch
from torch import Tensor

MAX_SAMPLE_SCORES = 1 << 29
"""Scores of a sample of facts asked in both directions, in each validation, fit of the decision and
calibration."""

LEAST_FACTS = 1_000
"""Least facts in a sample, for any number of entities."""

MAX_PREDICTION_SCORES = 1 << 31
"""Scores of all questions that `predict` asks."""

LEAST_QUERIES = 1_000
"""Least questions that `predict` may ask, for any number of entities."""


def max_sample_facts(num_entities: int) -> int:
    """Returns the largest number of facts in a sample."""
    return max(LEAST_FACTS, MAX_SAMPLE_SCORES // (2 * num_entities))


def max_predicted_queries(num_entities: int) -> int:
    """Returns the largest number of questions that `predict` asks."""
    return max(LEAST_QUERIES, MAX_PREDICTION_SCORES // num_entities)


def sample_facts(triples: Tensor, num_entities: int, seed: int) -> Tensor:
    """Returns all facts, or a random sample of them on a large graph.

    Args:
        triples: shape: (N, 3), dtype: long.
        num_entities: E.
        seed: Of the sample.

    Returns:
        In the order of `triples`, shape: (at most N, 3), dtype: long.
    """
    most = max_sample_facts(num_entities)
    if len(triples) <= most:
        return triples
    order = torch.randperm(len(triples), generator=torch.Generator().manual_seed(seed))
    return triples[order[:most].sort().values]
