"""The generated graph for measurements of the fused channel."""

import torch

from recipes.fused import FEATURE_DIM, NUM_SHAPES, NUM_THINGS, RELATIONS, make_graph


def test_the_made_graph_is_the_same_each_time_and_another_for_another_seed() -> None:
    (one, pictures), (same, same_pictures), (other, _) = make_graph(), make_graph(), make_graph(8)
    assert one.facts_digest == same.facts_digest != other.facts_digest
    assert pictures.digest == same_pictures.digest


def test_the_splits_of_the_made_graph_share_no_fact_and_test_asks_for_all_relations() -> None:
    graph, _ = make_graph()
    facts = torch.cat(list(graph.triples.values()))
    assert len(facts.unique(dim=0)) == len(facts)
    assert graph.triples["test"][:, 1].unique().tolist() == list(range(len(RELATIONS)))


def test_a_team_is_the_region_and_the_shape_of_a_thing_and_things_alone_have_pictures() -> None:
    graph, pictures = make_graph()
    assert pictures.vectors.shape == (graph.num_entities, FEATURE_DIM)
    assert int(pictures.is_present.sum()) == NUM_THINGS
    known: dict[tuple[int, str], str] = {}
    for head, relation, tail in torch.cat(list(graph.triples.values())).tolist():
        known[head, RELATIONS[relation]] = graph.entity_labels[tail]
    for thing in range(NUM_THINGS):
        region = int(known[thing, "in region"].removeprefix("region"))
        shape = int(known[thing, "has shape"].removeprefix("shape"))
        assert known[thing, "team"] == f"team{region * NUM_SHAPES + shape}"
