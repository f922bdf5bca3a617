"""The synthetic graphs have the wanted sizes and the skew of DB15K."""

import torch

from benchmarks.graphs import make_db15k_like, make_graph, make_tables
from imf_core.graph.known_tails import known_tails_in


def test_a_graph_has_the_sizes_asked_for_and_no_fact_twice() -> None:
    graph = make_graph(500, 12, num_facts=1_000, num_held_out=40)
    sizes = {split: len(triples) for split, triples in graph.triples.items()}
    assert sizes == {"train": 1_000, "valid": 40, "test": 40}
    facts = torch.cat(list(graph.triples.values()))
    assert len(facts.unique(dim=0)) == len(facts)
    assert facts.min() >= 0
    assert (facts.max(dim=0).values < torch.tensor([500, 12, 500])).all()


def test_the_same_arguments_make_the_same_graph() -> None:
    first, second = (make_graph(300, 5, 400, 10).triples["train"] for _ in range(2))
    assert torch.equal(first, second)


def test_a_graph_of_db15ks_size_asks_as_many_queries_and_relations() -> None:
    known = known_tails_in(make_db15k_like().graph, ["train"])
    assert 70_000 < len(known.queries) < 80_000
    assert 2_000 < known.offsets.diff().max() < 8_000
    order = torch.randperm(len(known.queries), generator=torch.Generator().manual_seed(0))
    assert 95 < len(known.queries[order[:256], 1].unique()) < 115
    assert 185 < len(known.queries[order[:1024], 1].unique()) < 215


def test_features_are_missing_where_they_are_to_be() -> None:
    table = make_tables(1_000, {"image": (7, 0.25)})["image"]
    assert table.vectors.shape == (1_000, 7)
    assert 200 < table.is_present.sum() < 300
    assert not table.vectors[~table.is_present].any()
