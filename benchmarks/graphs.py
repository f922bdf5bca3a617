"""Synthetic graphs of a given size: facts drawn with the skew of real ones, random features."""

import torch
from torch import Tensor

from imf_core.data.graph import Graph
from imf_core.features.table import FeatureTable

FEATURE_DIM = 384


def make_graph(num_entities: int, num_relations: int, num_facts: int, num_held_out: int) -> Graph:
    """Makes a graph with a few popular and many rare entities and relations.

    Args:
        num_entities: E.
        num_relations: R.
        num_facts: Facts of train, about so many: repeated ones are dropped.
        num_held_out: Facts of valid and of test, each.

    Returns:
        A graph without names; the same one for the same arguments.
    """
    generator = torch.Generator().manual_seed(0)

    def draw(count: int, size: int, skew: float) -> Tensor:
        return (torch.rand(count, generator=generator) ** skew * size).long()

    total = num_facts + 2 * num_held_out
    triples = torch.stack(
        [
            draw(total, num_entities, 2.0),
            draw(total, num_relations, 3.0),
            draw(total, num_entities, 2.0),
        ],
        dim=1,
    )
    triples = torch.unique(triples, dim=0)
    triples = triples[torch.randperm(len(triples), generator=generator)]
    valid, test, train = triples.split(
        [num_held_out, num_held_out, len(triples) - 2 * num_held_out]
    )
    entities = [str(number) for number in range(num_entities)]
    relations = [str(number) for number in range(num_relations)]
    return Graph(
        entity_labels=entities,
        entity_names=entities,
        entity_descriptions=[""] * num_entities,
        relation_labels=relations,
        relation_names=relations,
        triples={"train": train, "valid": valid, "test": test},
    )


def make_tables(num_entities: int) -> dict[str, FeatureTable]:
    """Makes an image vector for most entities and a text vector for all."""
    generator = torch.Generator().manual_seed(1)
    tables = {}
    for modality, share in (("image", 0.9), ("text", 1.0)):
        present = torch.rand(num_entities, generator=generator) < share
        vectors = torch.randn(num_entities, FEATURE_DIM, generator=generator)
        tables[modality] = FeatureTable(vectors * present[:, None], present, {"model": "random"})
    return tables
