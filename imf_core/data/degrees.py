"""Counts the train facts of entities; modalities should help the sparse ones."""

import torch
from torch import Tensor

from imf_core.data.graph import Graph

DEGREE_BINS = ((0, 0), (1, 2), (3, 5), (6, 10), (11, None))
"""Inclusive bounds of an entity's number of train facts; the last bin has no upper bound."""


def count_train_facts(graph: Graph) -> Tensor:
    """Counts each entity's facts in train, as head or as tail, shape: (E,), dtype: long."""
    ends = graph.triples["train"][:, [0, 2]].flatten()
    return torch.bincount(ends, minlength=graph.num_entities)


def find_degree_bins(degrees: Tensor) -> Tensor:
    """Returns the position in `DEGREE_BINS` of each number of facts, same shape, dtype: long."""
    lowest = torch.tensor([low for low, _ in DEGREE_BINS[1:]])
    return torch.bucketize(degrees, lowest, right=True)
