"""Samples connected subgraphs of a large graph, small enough for a step of pretraining on a CPU.

A subgraph grows from a random fact: in each round every entity of the last round brings in the
other ends of a few of its facts. All facts between the entities found belong to it. Relations left
out at random and limits drawn at random give dense and sparse graphs of many sizes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from imf_core.graph.known_tails import ragged_arange

MIN_FACTS = 32
"""Facts of the smallest subgraph; a smaller one is sampled again."""

SMALLEST, LARGEST = 48, 3_000
"""Bounds of the number of entities, drawn evenly in its logarithm."""

FACTS_PER_ENTITY = (2, 4, 8, 16, 32)
"""Facts that an entity brings in, one of these for a subgraph."""

WITH_ALL_RELATIONS = 0.5
"""Share of the subgraphs with all relations; the others keep a random share of at least a half."""


@dataclass(frozen=True)
class FactIndex:
    """Facts by entity.

    Attributes:
        triples: (head, relation, tail), shape: (N, 3), dtype: long.
        offsets: First position of each entity in `facts`, shape: (E + 1,), dtype: long.
        facts: Positions in `triples` by entity, once for either end, shape: (2N,), dtype: long.
        num_relations: R, without inverses.
    """

    triples: Tensor
    offsets: Tensor
    facts: Tensor
    num_relations: int


def index_facts(triples: Tensor, num_entities: int, num_relations: int) -> FactIndex:
    """Groups facts by their entities."""
    ends = torch.cat([triples[:, 0], triples[:, 2]])
    order = ends.argsort(stable=True)
    offsets = torch.zeros(num_entities + 1, dtype=torch.long)
    offsets[1:] = torch.bincount(ends, minlength=num_entities).cumsum(0)
    return FactIndex(triples, offsets, order % len(triples), num_relations)


def sample_subgraph(index: FactIndex, max_facts: int, generator: torch.Generator) -> Tensor:
    """Samples a subgraph at random limits; a random half of the relations is turned round.

    Args:
        index: The graph, with some connected part of `MIN_FACTS` facts under half of its relations.
        max_facts: Bound of the facts; beyond it a subgraph loses its last entities.
        generator: Of the draws.

    Returns:
        Distinct facts with dense ids of entities and relations, shape: (n, 3), dtype: long.
    """
    facts = index.triples[:0]
    while len(facts) < MIN_FACTS:
        facts = index.triples[_sample(index, max_facts, generator)]
    head, relation, tail = facts.unbind(dim=1)
    _, ends = torch.cat([head, tail]).unique(return_inverse=True)
    head, tail = ends.chunk(2)
    kinds, relation = relation.unique(return_inverse=True)
    is_turned = (torch.rand(len(kinds), generator=generator) < 0.5)[relation]
    first, last = torch.where(is_turned, tail, head), torch.where(is_turned, head, tail)
    sampled: Tensor = torch.stack([first, relation, last], dim=1).unique(dim=0)
    return sampled


def _sample(index: FactIndex, max_facts: int, generator: torch.Generator) -> Tensor:
    """Returns the positions of the facts of a subgraph."""
    is_kept = torch.ones(index.num_relations, dtype=torch.bool)
    log_size, share, with_all = torch.rand(3, generator=generator).tolist()
    if with_all >= WITH_ALL_RELATIONS:
        draws = torch.rand(index.num_relations, generator=generator)
        is_kept = draws <= float(draws.quantile(0.5 + share / 2))
    size = round(SMALLEST * (LARGEST / SMALLEST) ** log_size)
    choice = int(torch.randint(len(FACTS_PER_ENTITY), (), generator=generator))
    allowed = is_kept[index.triples[:, 1]]
    rank = grow(index, allowed, size, FACTS_PER_ENTITY[choice], generator)
    return cut(index, allowed, rank, max_facts)


def grow(
    index: FactIndex, allowed: Tensor, size: int, facts_per_entity: int, generator: torch.Generator
) -> Tensor:
    """Finds entities that are joined by facts, round by round from a random fact.

    Args:
        index: The graph.
        allowed: Which facts may be used, at least one, shape: (N,), dtype: bool.
        size: Entities to find, at least 2; fewer are found if no more are joined.
        facts_per_entity: Facts that an entity brings in.
        generator: Of the draws.

    Returns:
        Position of each entity in the order of discovery, E for entities not found; but for the
        ends of the first fact, each found one has a fact with an earlier one, shape: (E,), dtype:
        long.
    """
    num_entities = len(index.offsets) - 1
    rank = torch.full((num_entities,), num_entities)
    start = allowed.nonzero().flatten()
    fact = start[torch.randint(len(start), (), generator=generator)]
    frontier, found = index.triples[fact, [0, 2]].unique(), 0
    while len(frontier):
        rank[frontier] = torch.arange(found, found + len(frontier))
        found += len(frontier)
        first, stop = index.offsets[frontier], index.offsets[frontier + 1]
        rows, places = ragged_arange(first, stop - first)
        facts = index.facts[places]
        usable = allowed[facts].nonzero().flatten()
        usable = usable[torch.randperm(len(usable), generator=generator)]
        usable = usable[rows[usable].argsort(stable=True)]
        counts = torch.bincount(rows[usable], minlength=len(frontier))
        position = ragged_arange(torch.zeros_like(counts), counts)[1]
        ends = index.triples[facts[usable[position < facts_per_entity]]][:, [0, 2]].unique()
        new = ends[rank[ends] == num_entities]
        frontier = new[torch.randperm(len(new), generator=generator)[: size - found]]
    return rank


def cut(index: FactIndex, allowed: Tensor, rank: Tensor, max_facts: int) -> Tensor:
    """Returns the allowed facts between the first entities, as many entities as the bound lets in.

    Args:
        index: The graph.
        allowed: As for `grow`.
        rank: From `grow`.
        max_facts: Bound of the facts, at least the number of those between the first two entities.

    Returns:
        Positions in `index.triples`, ascending, shape: (n,), dtype: long.
    """
    later = rank[index.triples[:, [0, 2]]].amax(dim=1)
    facts = ((later < len(rank)) & allowed).nonzero().flatten()
    if len(facts) > max_facts:
        limit = later[facts].sort().values[max_facts]
        facts = facts[later[facts] < limit]
    return facts
