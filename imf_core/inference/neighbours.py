"""Nearest entities in the space of one channel."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from imf_core.data.graph import Graph
from imf_core.model.scorer import Scorer


@dataclass(frozen=True)
class Neighbour:
    """An entity near another one, with the cosine of their embeddings."""

    label: str
    name: str
    cosine: float


def find_nearest(
    scorer: Scorer, graph: Graph, channel: str, entity: int, among: Tensor, count: int
) -> list[Neighbour]:
    """Finds the entities nearest to one entity, by the cosine of their embeddings.

    Args:
        scorer: The trained model.
        graph: Its graph.
        channel: Channel of the embeddings.
        entity: The entity, which has the channel's modality; it is not its own neighbour.
        among: Entities to choose from; entities without the channel's modality or without train
            facts are left out, shape: (N,), dtype: long.
        count: Neighbours, at most.

    Returns:
        Nearest first.
    """
    model, vectors = scorer.model, scorer.entities[channel]
    among = among.to(vectors.device)
    among = among[(among != entity) & model.is_present(channel)[among] & model.is_learned[among]]
    cosines = F.cosine_similarity(vectors[among], vectors[entity].unsqueeze(0))
    best = cosines.topk(min(count, len(among)))
    return [
        Neighbour(graph.entity_labels[number], graph.entity_names[number], cosine)
        for number, cosine in zip(among[best.indices].tolist(), best.values.tolist(), strict=True)
    ]
