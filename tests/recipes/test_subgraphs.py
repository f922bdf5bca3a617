"""Subgraphs for pretraining: parts of the graph, connected, within the bounds."""

import torch
from torch import Tensor

from recipes.subgraphs import MIN_FACTS, cut, grow, index_facts, sample_subgraph

NUM_ENTITIES, NUM_RELATIONS = 400, 6


def make_triples() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    limits = torch.tensor([NUM_ENTITIES, NUM_RELATIONS, NUM_ENTITIES])
    return (torch.rand(1500, 3, generator=generator) * limits).long().unique(dim=0)


def count_reached(triples: Tensor) -> int:
    """Counts the entities that facts join to the first one."""
    reached = {int(triples[0, 0])}
    while True:
        ends = [{head, tail} for head, _, tail in triples.tolist()]
        further = reached.union(*(pair for pair in ends if pair & reached))
        if further == reached:
            return len(reached)
        reached = further


def test_a_subgraph_grows_to_its_size_by_allowed_facts_and_is_connected() -> None:
    triples = make_triples()
    index = index_facts(triples, NUM_ENTITIES, NUM_RELATIONS)
    allowed = triples[:, 1] > 1
    rank = grow(index, allowed, 60, 2, torch.Generator().manual_seed(1))
    found = (rank < NUM_ENTITIES).nonzero().flatten()
    assert rank[found].sort().values.tolist() == list(range(60))
    facts = cut(index, allowed, rank, 1500)
    inside = torch.isin(triples[:, [0, 2]], found).all(dim=1) & allowed
    assert facts.tolist() == inside.nonzero().flatten().tolist()
    assert count_reached(triples[facts]) == 60


def test_the_bound_of_facts_leaves_the_last_entities_out_and_the_rest_connected() -> None:
    triples = make_triples()
    index = index_facts(triples, NUM_ENTITIES, NUM_RELATIONS)
    allowed = torch.ones(len(triples), dtype=torch.bool)
    rank = grow(index, allowed, NUM_ENTITIES, 4, torch.Generator().manual_seed(1))
    kept = triples[cut(index, allowed, rank, 50)]
    assert 25 < len(kept) <= 50
    entities = kept[:, [0, 2]].unique()
    assert sorted(rank[entities].tolist()) == list(range(len(entities)))
    assert count_reached(kept) == len(entities)


def test_a_graph_with_several_parts_gives_the_part_of_the_first_fact() -> None:
    triples = torch.tensor([[0, 0, 1], [2, 0, 3], [3, 0, 4]])
    index = index_facts(triples, 5, 1)
    only = torch.tensor([False, True, True])
    rank = grow(index, only, 5, 8, torch.Generator().manual_seed(0))
    assert (rank < 5).tolist() == [False, False, True, True, True]


def test_a_sampled_subgraph_is_part_of_the_graph_up_to_names_and_directions() -> None:
    triples = make_triples()
    index = index_facts(triples, NUM_ENTITIES, NUM_RELATIONS)
    for seed in range(5):
        found = sample_subgraph(index, 200, torch.Generator().manual_seed(seed))
        num_entities, num_relations = (int(found[:, column].max()) + 1 for column in (0, 1))
        num_entities = max(num_entities, int(found[:, 2].max()) + 1)
        assert found[:, [0, 2]].unique().tolist() == list(range(num_entities))
        assert found[:, 1].unique().tolist() == list(range(num_relations))
        assert MIN_FACTS <= len(found) <= 200
        assert num_entities <= NUM_ENTITIES
        assert count_reached(found) == num_entities
        degrees = torch.bincount(found[:, [0, 2]].flatten()).sort().values
        assert (degrees <= torch.bincount(triples[:, [0, 2]].flatten()).sort().values[-1]).all()


def test_each_relation_keeps_its_direction_or_is_turned_round_as_a_whole() -> None:
    leaves = torch.arange(1, 51)
    star = torch.cat([torch.stack([leaves * 0, leaves * 0 + r, leaves], 1) for r in (0, 1)])
    index, hub_is_head = index_facts(star, 51, 2), set()
    for seed in range(8):
        found = sample_subgraph(index, 200, torch.Generator().manual_seed(seed))
        for relation in found[:, 1].unique():
            heads, _, tails = found[found[:, 1] == relation].unbind(dim=1)
            assert min(len(heads.unique()), len(tails.unique())) == 1
            hub_is_head.add(len(heads.unique()) == 1)
    assert hub_is_head == {True, False}


def test_the_same_seed_samples_the_same_subgraph() -> None:
    index = index_facts(make_triples(), NUM_ENTITIES, NUM_RELATIONS)
    first, second, other = (
        sample_subgraph(index, 200, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
