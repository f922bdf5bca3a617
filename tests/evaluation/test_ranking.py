"""Ranking held-out facts in both directions."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_world import COUNTRIES, LOOPED, UNSEEN_RELATIONS, TableScorer, looped_graph, tiny_model
from torch import Tensor

from imf_core.base.errors import TrainingError
from imf_core.evaluation.ranking import COMBINED, RankTable, rank_triples
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import known_tails_in, with_inverses
from imf_core.model.scorer import Scorer


def rank_test(scorer: Scorer | TableScorer, graph: Graph, batch_size: int = 4) -> RankTable:
    test, relations = graph.triples["test"], graph.num_relations
    return rank_triples(scorer, test, known_tails_in(graph), relations, batch_size)


def random_table(graph: Graph, levels: int = 6) -> Tensor:
    """Random scores with ties, shape: (E, 2R, E)."""
    generator = torch.Generator().manual_seed(0)
    shape = (graph.num_entities, 2 * graph.num_relations, graph.num_entities)
    return torch.randint(levels, shape, generator=generator).float()


def table_of_answers(graph: Graph) -> Tensor:
    """Scores of one for the facts of test and of zero for everything else."""
    heads, relations, tails = with_inverses(graph.triples["test"], graph.num_relations).T
    table = torch.zeros_like(random_table(graph))
    table[heads, relations, tails] = 1.0
    return table


def test_ranks_equal_those_of_a_naive_loop(graph: Graph) -> None:
    table = random_table(graph)
    facts = {
        tuple(fact)
        for triples in graph.triples.values()
        for fact in with_inverses(triples, graph.num_relations).tolist()
    }
    expected = []
    for head, relation, tail in with_inverses(graph.triples["test"], graph.num_relations).tolist():
        scores = table[head, relation].tolist()
        others = [
            scores[entity]
            for entity in range(graph.num_entities)
            if entity != tail and (head, relation, entity) not in facts
        ]
        greater = sum(score > scores[tail] for score in others)
        expected.append(1 + greater + others.count(scores[tail]) / 2)
    assert rank_test(TableScorer(table), graph).ranks[COMBINED].tolist() == expected


@pytest.mark.parametrize("batch_size", [1, 3, 7, 1000])
def test_the_batch_size_changes_no_rank(graph: Graph, batch_size: int) -> None:
    scorer = TableScorer(random_table(graph))
    one, other = rank_test(scorer, graph), rank_test(scorer, graph, batch_size)
    assert np.array_equal(one.ranks[COMBINED], other.ranks[COMBINED])
    assert np.array_equal(one.num_candidates, other.num_candidates)


def test_an_oracle_ranks_every_fact_first(graph: Graph) -> None:
    table = rank_test(TableScorer(table_of_answers(graph)), graph)
    assert (table.ranks[COMBINED] == 1).all()


def test_a_constant_scorer_ranks_in_the_middle_of_the_candidates(graph: Graph) -> None:
    table = rank_test(TableScorer(torch.zeros_like(random_table(graph))), graph)
    assert np.array_equal(table.ranks[COMBINED], (table.num_candidates + 1) / 2)


def test_each_distinct_query_is_scored_once(graph: Graph) -> None:
    asked = []

    class Counting(TableScorer):
        def scores(self, queries: Tensor) -> Iterator[Tensor]:
            asked.extend(map(tuple, queries.tolist()))
            return super().scores(queries)

    scorer = Counting(random_table(graph))
    known = known_tails_in(graph)
    rank_triples(scorer, graph.triples["train"], known, graph.num_relations, batch_size=5)
    facts = with_inverses(graph.triples["train"], graph.num_relations).tolist()
    assert sorted(asked) == sorted({(head, relation) for head, relation, _ in facts})


def test_tail_queries_come_first_and_then_head_queries(graph: Graph) -> None:
    table = rank_test(TableScorer(random_table(graph)), graph)
    test = graph.triples["test"]
    facts = with_inverses(test, graph.num_relations)
    assert table.queries.tolist() == facts[:, :2].tolist()
    assert table.answers.tolist() == facts[:, 2].tolist()
    assert table.is_head_query.tolist() == [False] * len(test) + [True] * len(test)


def test_the_order_of_the_triples_changes_no_rank(graph: Graph) -> None:
    scorer = TableScorer(random_table(graph))
    backwards = replace(graph, triples={**graph.triples, "test": graph.triples["test"].flip(0)})
    one, other = (rank_test(scorer, each).ranks[COMBINED] for each in (graph, backwards))
    half = len(graph.triples["test"])
    assert np.array_equal(one[:half], other[:half][::-1])
    assert np.array_equal(one[half:], other[half:][::-1])


@pytest.mark.parametrize("fault", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_not_finite_is_an_error(graph: Graph, fault: float) -> None:
    table = random_table(graph)
    head, relation, _ = graph.triples["test"][0].tolist()
    table[head, relation, 0] = fault
    with pytest.raises(TrainingError, match="scores that are not finite"):
        rank_test(TableScorer(table), graph)


def test_a_model_is_ranked_by_every_channel_and_by_the_decision(graph: Graph) -> None:
    table = rank_test(Scorer(tiny_model()), graph)
    assert list(table.ranks) == ["structural", "visual", "textual", "fused", COMBINED]


def test_a_channel_that_cannot_answer_ranks_in_the_middle_of_all_but_the_own_entity(
    graph: Graph,
) -> None:
    graph.triples["test"] = graph.triples["train"]
    model = tiny_model()
    table = rank_test(Scorer(model), graph)
    entities, relations = table.queries.T
    cannot = ~model.channels["visual"].is_present.numpy()[entities]
    cannot &= np.isin(relations, UNSEEN_RELATIONS)
    middle = table.num_candidates / 2
    assert cannot.any()
    assert np.array_equal(table.ranks["visual"][cannot], middle[cannot])


def rank_loops(graph: Graph) -> RankTable:
    """Ranks, in a graph, that each country but the first is next to itself."""
    loops = [[country, LOOPED, country] for country in COUNTRIES[1:]]
    test = replace(graph, triples={**graph.triples, "test": torch.tensor(loops)})
    return rank_test(Scorer(tiny_model(graph=test)), test)


def test_a_held_out_loop_ranks_last_where_train_has_no_loop(graph: Graph) -> None:
    table = rank_loops(graph)
    for ranks in table.ranks.values():
        assert np.array_equal(ranks, table.num_candidates)


def test_a_held_out_loop_is_ranked_by_its_score_where_train_has_a_loop() -> None:
    table = rank_loops(looped_graph())
    for side in (table.is_head_query, ~table.is_head_query):
        assert (table.ranks[COMBINED][side] < table.num_candidates[side]).any()
