"""Synthetic graphs of a given size, with the skew of real ones and random features.

At DB15K's size (`make_db15k_like`) the amount of work is close to DB15K's (in brackets; the split
of MyGO): 73,830 distinct queries with inverses (75,105); a batch of 256 has 107 distinct relations
(105) and one of 1,024 has 202 (200); a query has up to 3,969 answers (6,777).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph

RELATION_SKEW = 0.53
"""Relation number i is drawn with weight exp(-RELATION_SKEW * sqrt(i))."""

HEAD_SKEW, TAIL_SKEW = 1.5, 4.0
"""Entities of a pool are drawn as uniform ** skew: 1 is uniform, more is steeper."""

REPEATED = 1.3
"""Facts drawn per kept fact, since duplicates are dropped."""


@dataclass(frozen=True)
class World:
    """A graph and the features of its entities, by modality."""

    graph: Graph
    tables: dict[str, FeatureTable]


def make_db15k_like() -> World:
    """Makes a world of DB15K's size, with image and text features of 384 numbers."""
    graph = make_graph(12_842, 279, num_facts=79_222, num_held_out=9_902)
    return World(graph, make_tables(12_842, {"image": (384, 0.9), "text": (384, 1.0)}))


def make_atlas_like() -> World:
    """Makes a world of the size of `atlas`, with features of the sizes in `params.yaml`."""
    graph = make_graph(1_132, 20, num_facts=4_138, num_held_out=517)
    return World(graph, make_tables(1_132, {"image": (48, 183 / 1_132), "text": (256, 1.0)}))


def make_graph(num_entities: int, num_relations: int, num_facts: int, num_held_out: int) -> Graph:
    """Makes a graph with a few popular and many rare entities and relations.

    Every relation draws its heads and its tails from its own pools, some wide and some narrow. The
    most frequent relation leads from all entities to a thousandth of them, like a class or a
    country: its tails have thousands of heads.

    Args:
        num_entities: E.
        num_relations: R.
        num_facts: Distinct facts of train, at most; small pools yield fewer.
        num_held_out: Facts of valid and of test, each.

    Returns:
        A graph without names, deterministic for its arguments.
    """
    generator = torch.Generator().manual_seed(0)
    total = num_facts + 2 * num_held_out
    drawn = int(REPEATED * total)
    weights = torch.exp(-RELATION_SKEW * torch.arange(num_relations).sqrt())
    relations = torch.multinomial(weights, drawn, replacement=True, generator=generator)

    def draw(widths: Tensor, skew: float) -> Tensor:
        starts = (torch.rand(num_relations, generator=generator) * num_entities).long()
        within = torch.rand(drawn, generator=generator).double() ** skew * widths[relations]
        return (starts[relations] + within.long()) % num_entities

    head_pools = 10 ** (-1.2 * torch.rand(num_relations, generator=generator))
    tail_pools = 10 ** (-0.3 - 2.5 * torch.rand(num_relations, generator=generator))
    head_pools[0], tail_pools[0] = 1.0, 1e-3
    heads = draw((head_pools * num_entities).ceil(), HEAD_SKEW)
    tails = draw((tail_pools * num_entities).ceil(), TAIL_SKEW)
    key = torch.unique((relations * num_entities + heads) * num_entities + tails)
    key = key[torch.randperm(len(key), generator=generator)[:total]]
    # As in a real graph, members of a pool do not have neighbouring ids.
    ids = torch.randperm(num_entities, generator=generator)
    head, relation, tail = key // num_entities % num_entities, key // num_entities**2, key
    triples = torch.stack([ids[head], relation, ids[tail % num_entities]], dim=1)
    valid, test, train = triples.split([num_held_out, num_held_out, len(key) - 2 * num_held_out])
    entity_labels = [str(number) for number in range(num_entities)]
    relation_labels = [str(number) for number in range(num_relations)]
    return Graph(
        entity_labels=entity_labels,
        entity_names=entity_labels,
        entity_descriptions=[""] * num_entities,
        relation_labels=relation_labels,
        relation_names=relation_labels,
        triples={"train": train, "valid": valid, "test": test},
    )


def make_tables(num_entities: int, sizes: dict[str, tuple[int, float]]) -> dict[str, FeatureTable]:
    """Makes random features.

    Args:
        num_entities: E.
        sizes: Size of a vector and share of entities with one, by modality.
    """
    generator = torch.Generator().manual_seed(1)
    tables = {}
    for modality, (dim, share) in sizes.items():
        is_present = torch.rand(num_entities, generator=generator) < share
        vectors = torch.randn(num_entities, dim, generator=generator)
        vectors *= is_present[:, None]
        tables[modality] = FeatureTable(vectors, is_present, {"model": "random"})
    return tables
