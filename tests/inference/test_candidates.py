"""Which queries are worth asking."""

import numpy as np
import pytest
import torch

from imf_core.data.known_tails import KnownTails, build_known_tails
from imf_core.inference.candidates import (
    plausible_queries,
    share_with_more,
    share_with_room,
)

CAPITAL, CURRENCY, INVERSE = 0, 1, 2
"""Relations; the inverse of relation r is r + INVERSE."""


@pytest.fixture
def known() -> KnownTails:
    """Entities 0, 1 and 2 have a capital, 0 and 1 a currency as well; 3 to 7 are answers."""
    facts = [(0, CAPITAL, 3), (1, CAPITAL, 4), (2, CAPITAL, 5), (0, CURRENCY, 6), (1, CURRENCY, 7)]
    return build_known_tails(torch.tensor(facts), num_entities=8, num_relations=2)


def ask(known: KnownTails, min_affinity: float, max_queries: int = 1000) -> list[list[int]]:
    return plausible_queries(known, 2, min_affinity, max_queries).tolist()


def test_a_relation_that_most_alike_entities_have_is_asked_for(known: KnownTails) -> None:
    # Two of the three with a capital have a currency: the affinity of 2 is 2 / 3.
    assert [2, CURRENCY] in ask(known, 0.66)
    assert [2, CURRENCY] not in ask(known, 0.67)


def test_a_known_query_is_asked_again_where_others_like_it_have_more(known: KnownTails) -> None:
    # None of three entities has two capitals: 1 / 5 by Laplace's rule, and 1 / 4 for currencies.
    assert [0, CAPITAL] in ask(known, 0.19)
    assert [0, CAPITAL] not in ask(known, 0.21)
    assert [0, CURRENCY] in ask(known, 0.24)


def test_the_more_answers_others_have_the_likelier_is_a_further_one() -> None:
    facts = [(0, 0, 3), (1, 0, 3), (1, 0, 4), (2, 0, 3), (2, 0, 4), (2, 0, 5)]
    known = build_known_tails(torch.tensor(facts), num_entities=6, num_relations=1)
    shares = dict(zip(map(tuple, known.queries.tolist()), share_with_more(known), strict=True))
    found = [float(shares[entity, 0]) for entity in (0, 1, 2)]
    assert found == pytest.approx([3 / 5, 2 / 4, 1 / 3])


def test_a_relation_of_other_entities_is_never_asked_for(known: KnownTails) -> None:
    asked = ask(known, 0.0)
    assert not [query for query in asked if query[0] in {3, 4, 5} and query[1] < INVERSE]
    assert [6, CAPITAL + INVERSE] not in asked


def test_the_most_plausible_queries_come_first(known: KnownTails) -> None:
    asked = ask(known, 0.0)
    assert asked[0] == [2, CURRENCY]
    assert sorted(asked[1:]) == sorted(known.queries.tolist())


@pytest.mark.parametrize("max_queries", [1, 3, 10])
def test_no_more_queries_than_allowed_are_kept(known: KnownTails, max_queries: int) -> None:
    assert ask(known, 0.0, max_queries) == ask(known, 0.0)[:max_queries]


def test_room_for_a_fact_is_what_both_its_questions_leave(known: KnownTails) -> None:
    # 0 has a capital, 3 is one (1 / 5 each by Laplace's rule); 2 has no currency, 6 is one (1 / 4).
    facts = np.array([(0, CAPITAL, 7), (2, CURRENCY, 3), (2, CURRENCY, 6), (0, CAPITAL, 4)])
    room = share_with_room(known, facts, num_relations=2)
    assert room.tolist() == pytest.approx([1 / 5, 1.0, 1 / 4, 1 / 5])
