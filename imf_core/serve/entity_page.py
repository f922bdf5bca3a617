"""The facts of one entity by relation, and the part of the graph around it."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from imf_core.serve.catalogue import Catalogue
from imf_core.serve.schemas import Around, Edge, EntityPage, Group, KnownAnswer

Ids = NDArray[np.int64]
NOBODY = np.empty(0, dtype=np.int64)

MOST_EDGES = 60
"""Edges in the picture of the graph around an entity."""


def describe_entity(catalogue: Catalogue, entity: int, limit: int) -> EntityPage:
    """Lists the facts of all splits about an entity.

    Args:
        catalogue: The graph.
        entity: Id.
        limit: Facts of each relation, at most.
    """
    num_relations = catalogue.graph.num_relations
    found = dict(_known_by_relation(catalogue, entity))
    groups = []
    for relation, others in found.items():
        is_tail = relation >= num_relations
        reverse = found.get((relation + num_relations) % (2 * num_relations), NOBODY)
        both_ways = np.array_equal(reverse, others)
        if not (both_ways and is_tail):
            groups.append(
                Group(
                    relation=catalogue.relation(relation % num_relations),
                    as_head=not is_tail,
                    both_ways=both_ways,
                    count=len(others),
                    others=catalogue.with_splits(entity, relation, others[:limit].tolist()),
                )
            )
    pictures = 0 if catalogue.pictures is None else catalogue.pictures.count(entity)
    return EntityPage(
        entity=catalogue.entity(entity),
        description=catalogue.description(entity),
        pictures=[f"/api/picture/{entity}?position={place}" for place in range(pictures)],
        facts=sum(map(len, found.values())),
        groups=groups,
    )


def list_facts(
    catalogue: Catalogue, entity: int, relation: int, as_head: bool, offset: int, limit: int
) -> list[KnownAnswer]:
    """Lists further facts of an entity with one relation.

    Args:
        catalogue: The graph.
        entity: Id.
        relation: Id, without inverses.
        as_head: Whether the entity is the head.
        offset: Facts to skip.
        limit: Facts, at most.
    """
    asked = relation if as_head else relation + catalogue.graph.num_relations
    others = catalogue.known_answers(entity, asked)[offset : offset + limit]
    return catalogue.with_splits(entity, asked, others)


def draw_around(catalogue: Catalogue, entity: int, limit: int) -> Around:
    """Chooses entities around one: of each relation in turn, those with most facts first.

    Args:
        catalogue: The graph.
        entity: Id.
        limit: Entities around it, at most.
    """
    found = _known_by_relation(catalogue, entity)
    queues = [_best_connected(catalogue, others, limit) for _, others in found]
    chosen: dict[int, None] = {entity: None}
    for place in range(limit):
        for queue in queues:
            if place < len(queue) and len(chosen) <= limit:
                chosen[queue[place]] = None
    joined = np.unique(np.concatenate([NOBODY, *(others for _, others in found)]))
    return Around(
        nodes=[catalogue.entity(node) for node in chosen],
        edges=_edges_among(catalogue, list(chosen)),
        neighbours=int((joined != entity).sum()),
    )


def _best_connected(catalogue: Catalogue, entities: Ids, limit: int) -> list[int]:
    """Returns the entities with most train facts, at most `limit`."""
    order = np.argsort(-catalogue.degrees[entities], kind="stable")
    best: list[int] = entities[order[:limit]].tolist()
    return best


def _known_by_relation(catalogue: Catalogue, entity: int) -> list[tuple[int, Ids]]:
    """Returns (relation with inverses, other entities) for each relation of an entity."""
    relations = torch.arange(2 * catalogue.graph.num_relations)
    queries = torch.stack([torch.full_like(relations, entity), relations], dim=1)
    rows, tails = catalogue.known.lookup(queries)
    found, counts = rows.unique_consecutive(return_counts=True)
    parts = tails.split(counts.tolist())
    return [(relation, part.numpy()) for relation, part in zip(found.tolist(), parts, strict=True)]


def _edges_among(catalogue: Catalogue, nodes: Sequence[int]) -> list[Edge]:
    """Returns the facts among some entities, those of the first one first."""
    edges: dict[tuple[int, int, int], None] = {}
    num_relations = catalogue.graph.num_relations
    for node in nodes:
        for relation, others in _known_by_relation(catalogue, node):
            for other in others[np.isin(others, nodes)].tolist():
                ends = (node, other) if relation < num_relations else (other, node)
                edges[ends[0], relation % num_relations, ends[1]] = None
    kept = list(edges)[:MOST_EDGES]
    if not kept:
        return []
    splits = catalogue.find_splits(np.array(kept, dtype=np.int64))
    return [
        Edge(head=head, tail=tail, relation=catalogue.relation(relation), known_in=split)
        for (head, relation, tail), split in zip(kept, splits, strict=True)
    ]
