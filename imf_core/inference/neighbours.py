"""What is near to an entity in the space of one head."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from imf_core.data.graph import Graph
from imf_core.model.scorer import Scorer


@dataclass(frozen=True)
class Neighbour:
    """An entity near to another one, by the cosine of their embeddings."""

    label: str
    name: str
    cosine: float


def find_nearest(
    scorer: Scorer, graph: Graph, head: str, entity: int, among: Tensor, count: int
) -> list[Neighbour]:
    """Finds the entities whose embeddings are nearest to that of one entity, itself left out.

    Args:
        scorer: The trained model.
        graph: Its graph.
        head: Whose space it is.
        entity: The entity, which has the head's modality.
        among: Entities to choose from; those without the head's modality, and those that the model
            was not trained on, are left out, shape: (N,), dtype: long.
        count: Neighbours, at most.

    Returns:
        Nearest first.
    """
    model, vectors = scorer.model, scorer.entities[head]
    among = among.to(vectors.device)
    among = among[(among != entity) & model.is_present(head)[among] & model.is_learned[among]]
    cosines = F.cosine_similarity(vectors[among], vectors[entity].unsqueeze(0))
    best = cosines.topk(min(count, len(among)))
    return [
        Neighbour(graph.entity_labels[number], graph.entity_names[number], cosine)
        for number, cosine in zip(among[best.indices].tolist(), best.values.tolist(), strict=True)
    ]
