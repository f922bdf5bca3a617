"""The known answers of every query."""

import pytest
import torch
from tiny_world import LOOPED, looped_graph, tiny_graph

from imf_core.graph.known_tails import (
    KnownTails,
    build_known_tails,
    find_loops,
    known_tails_in,
    ragged_arange,
    with_inverses,
)
from imf_core.graph.labels import SPLITS

TRIPLES = torch.tensor([[0, 0, 1], [0, 0, 3], [2, 0, 1], [0, 1, 2], [0, 0, 1]])
NUM_ENTITIES, NUM_RELATIONS = 5, 2


@pytest.fixture
def known() -> KnownTails:
    return build_known_tails(TRIPLES, NUM_ENTITIES, NUM_RELATIONS)


def answers(known: KnownTails, *query: int) -> list[int]:
    return known.lookup(torch.tensor([query]))[1].tolist()


def test_all_tails_of_a_query_are_found(known: KnownTails) -> None:
    assert answers(known, 0, 0) == [1, 3]


def test_heads_are_found_as_tails_of_the_inverse_relation(known: KnownTails) -> None:
    assert answers(known, 1, 0 + NUM_RELATIONS) == [0, 2]


def test_a_repeated_triple_counts_once(known: KnownTails) -> None:
    assert len(known.tails) == 2 * len(TRIPLES.unique(dim=0))


@pytest.mark.parametrize("query", [(4, 0), (1, 0), (4, 3), (0, 2)])
def test_an_unknown_query_has_no_answers(known: KnownTails, query: tuple[int, int]) -> None:
    assert answers(known, *query) == []


def test_facts_are_known_where_a_lookup_finds_their_tail(known: KnownTails) -> None:
    facts = torch.cartesian_prod(torch.arange(5), torch.arange(4), torch.arange(5))
    found = known.contains(facts[:, :2], facts[:, 2]).tolist()
    assert found == [tail in answers(known, *query) for *query, tail in facts.tolist()]


def test_no_fact_is_known_where_there_is_none() -> None:
    nothing = build_known_tails(TRIPLES[:0], NUM_ENTITIES, NUM_RELATIONS)
    assert not nothing.contains(TRIPLES[:, :2], TRIPLES[:, 2]).any()


def test_answers_of_a_batch_come_with_their_rows(known: KnownTails) -> None:
    queries = torch.tensor([[4, 1], [0, 0], [0, 1], [0, 0]])
    rows, tails = known.lookup(queries)
    assert rows.tolist() == [1, 1, 2, 3, 3]
    assert tails.tolist() == [1, 3, 2, 1, 3]


def test_every_query_finds_what_a_loop_over_the_facts_finds() -> None:
    generator = torch.Generator().manual_seed(0)
    triples = torch.randint(4, (40, 3), generator=generator) % torch.tensor([4, 3, 4])
    known = build_known_tails(triples, 4, 3)
    facts = with_inverses(triples, 3).tolist()
    for head in range(4):
        for relation in range(6):
            expected = sorted({t for h, r, t in facts if (h, r) == (head, relation)})
            assert answers(known, head, relation) == expected


def test_queries_are_sorted_by_relation_then_head(known: KnownTails) -> None:
    order = [(relation, head) for head, relation in known.queries.tolist()]
    assert order == sorted(set(order))


def test_no_triples_make_no_queries() -> None:
    known = build_known_tails(torch.empty((0, 3), dtype=torch.long), 5, 2)
    assert (len(known.queries), known.offsets.tolist(), len(known.tails)) == (0, [0], 0)


def test_nothing_is_known_where_there_are_no_triples() -> None:
    known = build_known_tails(torch.empty((0, 3), dtype=torch.long), 5, 2)
    assert answers(known, 0, 0) == []


def test_inverses_are_appended_in_the_order_of_the_triples() -> None:
    both = with_inverses(torch.tensor([[0, 1, 2], [3, 0, 4]]), 2)
    assert both.tolist() == [[0, 1, 2], [3, 0, 4], [2, 3, 0], [4, 2, 3]]


def test_ranges_are_expanded_one_after_the_other() -> None:
    rows, elements = ragged_arange(torch.tensor([5, 0, 9]), torch.tensor([2, 0, 3]))
    assert rows.tolist() == [0, 0, 2, 2, 2]
    assert elements.tolist() == [5, 6, 9, 10, 11]


@pytest.mark.parametrize("splits", [("train",), ("train", "valid"), SPLITS])
def test_the_known_tails_of_a_graph_are_those_of_the_splits_asked_for(
    splits: tuple[str, ...],
) -> None:
    graph = tiny_graph()
    known = known_tails_in(graph, splits)
    assert len(known.tails) == 2 * sum(len(graph.triples[split]) for split in splits)


def test_the_known_tails_of_a_graph_are_by_default_those_of_all_splits() -> None:
    graph = tiny_graph()
    assert torch.equal(known_tails_in(graph).tails, known_tails_in(graph, SPLITS).tails)


def test_a_graph_without_loops_has_none() -> None:
    assert find_loops(tiny_graph()).tolist() == [False] * 6


def test_a_loop_in_train_counts_for_its_relation_in_both_directions() -> None:
    found = find_loops(looped_graph())
    assert found.nonzero().flatten().tolist() == [LOOPED, LOOPED + 3]


def test_loops_of_valid_and_test_do_not_count() -> None:
    graph = tiny_graph()
    graph.triples["valid"] = graph.triples["test"] = torch.tensor([[4, LOOPED, 4]])
    assert not find_loops(graph).any()


def test_a_train_without_facts_has_no_loops() -> None:
    graph = tiny_graph()
    graph.triples["train"] = graph.triples["train"][:0]
    assert find_loops(graph).tolist() == [False] * 6
