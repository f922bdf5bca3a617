"""Whether a question has a further answer."""

import numpy as np
import pytest
import torch

from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import build_known_tails
from imf_core.inference.plausibility import FurtherAnswers, share_with_more

CAPITAL, CURRENCY = 0, 1
TRAIN = [(0, CAPITAL, 3), (1, CAPITAL, 4), (2, CAPITAL, 5), (0, CURRENCY, 6), (1, CURRENCY, 7)]


def graph_of(train: list[tuple[int, int, int]], valid: list[tuple[int, int, int]]) -> Graph:
    labels = [f"e{number}" for number in range(9)]
    splits = {"train": train, "valid": valid, "test": []}
    return Graph(
        entity_labels=labels,
        entity_names=labels,
        entity_descriptions=[""] * len(labels),
        relation_labels=["capital", "currency"],
        relation_names=["capital", "currency"],
        triples={
            name: torch.tensor(facts, dtype=torch.long).reshape(-1, 3)
            for name, facts in splits.items()
        },
    )


def shares_of(counts: list[int]) -> list[float]:
    """Returns the shares of queries with these numbers of answers."""
    facts = [(head, 0, tail) for head, count in enumerate(counts) for tail in range(count)]
    known = build_known_tails(torch.tensor(facts), num_entities=200, num_relations=1)
    return share_with_more(known)[: len(counts)].tolist()


def test_a_relation_with_one_answer_each_has_no_further_ones() -> None:
    assert shares_of([1] * 98) == pytest.approx([1 / 100] * 98)


def test_the_more_answers_others_have_the_likelier_is_a_further_one() -> None:
    # Of ten with an answer five have a second one, and none of those a third one.
    assert shares_of([1] * 5 + [2] * 5) == pytest.approx([6 / 12] * 5 + [1 / 7] * 5)


def test_the_question_of_most_answers_is_not_used_up_where_it_went_on_alone() -> None:
    # Too few have 100 answers or nearly as many: four of five steps to there went on.
    assert shares_of([1, 1, 1, 100])[-1] == pytest.approx(5 / 7)


def test_both_questions_of_a_new_fact_have_a_share() -> None:
    facts = np.array([(0, CAPITAL, 8), (2, CURRENCY, 3), (2, CURRENCY, 6), (0, CAPITAL, 4)])
    shares = FurtherAnswers(graph_of(TRAIN, [])).of_facts(facts)
    expected = [[1 / 5, 1], [1, 1], [1, 1 / 4], [1 / 5, 1 / 5]]
    assert shares.numpy() == pytest.approx(np.array(expected))


def test_a_fact_of_train_uses_nothing_up() -> None:
    shares = FurtherAnswers(graph_of(TRAIN, [])).of_facts(np.array(TRAIN))
    assert shares.tolist() == [[1, 1]] * 5


def test_a_held_out_fact_uses_a_new_one_up_but_not_itself() -> None:
    further = FurtherAnswers(graph_of(TRAIN, [(2, CURRENCY, 8)]))
    shares = further.of_facts(np.array([(2, CURRENCY, 8), (2, CURRENCY, 4)]))
    assert shares[:, 0].tolist() == pytest.approx([1, 1 / 5])


def test_answers_are_used_up_by_the_questions_that_they_answer() -> None:
    further = FurtherAnswers(graph_of(TRAIN, []))
    used_up = further.used_up(torch.tensor([[2, CURRENCY], [0, CURRENCY]]))
    assert used_up[0].nonzero().flatten().tolist() == [6, 7]
    assert used_up[1].all()
