"""Entities near another one, by the cosine of their embeddings in a channel."""

from collections.abc import Iterable

import pyarrow as pa
import torch
from torch import Tensor

from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import KnownTails
from imf_core.model.scorer import Scorer

LEAST_NORM_PRODUCT = 1e-8
"""Least product of two norms in a cosine."""

SCHEMA = pa.schema(
    [
        ("channel", pa.string()),
        ("label", pa.string()),
        ("name", pa.string()),
        ("cosine", pa.float64()),
    ]
)


def find_nearest(
    scorer: Scorer, graph: Graph, channel: str, entity: int, among: Tensor | None, count: int
) -> pa.Table:
    """Finds the entities nearest to one entity.

    Args:
        scorer: The trained model.
        graph: Its graph.
        channel: Channel of the embeddings.
        entity: The entity, which has the channel's modality; it is not its own neighbour.
        among: Entities to choose from, None for all; entities without the channel's modality or
            without train facts are left out, shape: (N,), dtype: long.
        count: Neighbours, at most.

    Returns:
        Nearest first, with the columns of `SCHEMA`.
    """
    vectors, lengths = scorer.entities[channel], scorer.lengths(channel)
    may_be = scorer.model.channels[channel].is_present & scorer.model.is_learned
    may_be[entity] = False
    own_vector, own_length = vectors[entity], lengths[entity]
    if among is not None:
        among = among.to(vectors.device)
        vectors, lengths, may_be = vectors[among], lengths[among], may_be[among]
    cosines = (
        vectors @ own_vector / (lengths * own_length).clamp_min(LEAST_NORM_PRODUCT)
    ).masked_fill(~may_be, -2.0)
    best = cosines.topk(min(count, int(may_be.sum())))
    found = (best.indices if among is None else among[best.indices]).tolist()
    return pa.table(
        {
            "channel": [channel] * len(found),
            "label": [graph.entity_labels[number] for number in found],
            "name": [graph.entity_names[number] for number in found],
            "cosine": best.values.tolist(),
        },
        schema=SCHEMA,
    )


def find_precedents(
    scorer: Scorer,
    graph: Graph,
    known: KnownTails,
    channel: str,
    fact: tuple[int, int, int],
    count: int,
) -> pa.Table:
    """Finds the entities nearest to the head of a fact that have its tail as well.

    Args:
        scorer: See `find_nearest`, like the other arguments.
        graph: See there.
        known: Train facts.
        channel: See there.
        fact: (head, relation with inverses, tail).
        count: Entities, at most.
    """
    head, relation, tail = fact
    inverse = (relation + graph.num_relations) % (2 * graph.num_relations)
    _, alike = known.lookup(torch.tensor([[tail, inverse]]))
    return find_nearest(scorer, graph, channel, head, alike, count)


def join(tables: Iterable[pa.Table]) -> pa.Table:
    """Joins tables of `find_nearest`; an empty one without any."""
    return pa.concat_tables([SCHEMA.empty_table(), *tables])
