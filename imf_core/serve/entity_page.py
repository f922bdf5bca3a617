"""The facts of one entity by relation, and the part of the graph around it."""

from collections.abc import Sequence

import numpy as np
import torch

from imf_core.serve.catalogue import Catalogue
from imf_core.serve.schemas import Around, Edge, EntityPage, Group, KnownAnswer

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
        both_ways = found.get((relation + num_relations) % (2 * num_relations)) == others
        if not (both_ways and is_tail):
            groups.append(
                Group(
                    relation=catalogue.relation(relation % num_relations),
                    as_head=not is_tail,
                    both_ways=both_ways,
                    count=len(others),
                    others=catalogue.with_splits(entity, relation, others[:limit]),
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
    queues = [
        sorted(others, key=lambda other: (-catalogue.degrees[other], other))[:limit]
        for _, others in _known_by_relation(catalogue, entity)
    ]
    chosen: dict[int, None] = {entity: None}
    for place in range(limit):
        for queue in queues:
            if place < len(queue) and len(chosen) <= limit:
                chosen[queue[place]] = None
    nodes = list(chosen)
    joined = {each for _, others in _known_by_relation(catalogue, entity) for each in others}
    return Around(
        nodes=[catalogue.entity(node) for node in nodes],
        edges=_edges_among(catalogue, nodes),
        neighbours=len(joined - {entity}),
    )


def _known_by_relation(catalogue: Catalogue, entity: int) -> list[tuple[int, list[int]]]:
    """Returns (relation with inverses, other entities) for each relation of an entity."""
    relations = torch.arange(2 * catalogue.graph.num_relations)
    queries = torch.stack([torch.full_like(relations, entity), relations], dim=1)
    rows, tails = catalogue.known.lookup(queries)
    found, counts = rows.unique_consecutive(return_counts=True)
    parts = tails.split(counts.tolist())
    return [(relation, part.tolist()) for relation, part in zip(found.tolist(), parts, strict=True)]


def _edges_among(catalogue: Catalogue, nodes: Sequence[int]) -> list[Edge]:
    """Returns the facts among some entities, those of the first one first."""
    inside = set(nodes)
    edges: dict[tuple[int, int, int], None] = {}
    num_relations = catalogue.graph.num_relations
    for node in nodes:
        for relation, others in _known_by_relation(catalogue, node):
            for other in inside.intersection(others):
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
