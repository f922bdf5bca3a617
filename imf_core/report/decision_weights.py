"""The weight of each channel in the decision, relation by relation."""

import numpy as np
import torch
from numpy.typing import NDArray

from imf_core.model.imf import IMF
from imf_core.report.ranked import Ranked

QUERIES_AT_ONCE = 1 << 16


@torch.no_grad()
def average_weights(model: IMF, ranked: Ranked, num_relations: int) -> NDArray[np.float64]:
    """Averages the decision weights over the test queries of each relation, both directions.

    Args:
        model: The trained model.
        ranked: The test queries.
        num_relations: R.

    Returns:
        Rows sum to one, or are zeros where test has no query of the relation, shape: (R, K).
    """
    device = next(model.parameters()).device
    parts = []
    for queries in torch.from_numpy(ranked.queries(num_relations)).split(QUERIES_AT_ONCE):
        queries = queries.to(device)  # noqa: PLW2901
        entities, relations = queries.unbind(dim=1)
        masks = [model.can_answer(name, entities, relations) for name in model.channel_names]
        parts.append(model.decision.weights(queries, torch.stack(masks, dim=1)))
    weights = torch.cat(parts).double().cpu().numpy()
    total = np.zeros((num_relations, weights.shape[1]))
    np.add.at(total, ranked.facts[:, 1], weights)
    average: NDArray[np.float64] = total / np.maximum(
        total.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny
    )
    return average
