"""The choice of queries, and of accepted answers."""

import pytest
import torch

from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import KnownTails, build_known_tails, known_tails_in
from imf_core.inference.plausibility import FurtherAnswers, estimate_affinities
from imf_core.inference.predict import Acceptance, plausible_queries

CAPITAL, CURRENCY, INVERSE = 0, 1, 2
"""Relations; the inverse of relation r is r + INVERSE."""

GENERATION, GROWTH, EFFECT, TYPE, SHAPE = range(5)
SPECIES, ABILITIES = range(12, 52), range(52, 82)
MEDIUM, FAST = 2, 3
"""Answers of GROWTH. Entities 0 and 1 are generations, 4 to 11 other answers."""


@pytest.fixture
def known() -> KnownTails:
    """Entities 0, 1 and 2 have a capital, 0 and 1 also a currency; 3 to 7 are answers."""
    facts = [(0, CAPITAL, 3), (1, CAPITAL, 4), (2, CAPITAL, 5), (0, CURRENCY, 6), (1, CURRENCY, 7)]
    return build_known_tails(torch.tensor(facts), num_entities=8, num_relations=2)


def ask(known: KnownTails, min_affinity: float, max_queries: int = 1000) -> list[list[int]]:
    return plausible_queries(known, 2, min_affinity, max_queries).tolist()


def creatures() -> Graph:
    """Species and abilities share a generation; all but a few species have a growth rate.

    The last species has only a type, the last ability only an effect.
    """
    facts = []
    for number, species in enumerate(SPECIES[:-1]):
        facts += [(species, GENERATION, number % 2), (species, TYPE, 4 + number % 4)]
        facts += [(species, SHAPE, 8)] if number % 3 else []
        facts += [(species, GROWTH, MEDIUM if number % 5 else FAST)] if number % 8 else []
    for number, ability in enumerate(ABILITIES[:-1]):
        facts += [(ability, GENERATION, number % 2), (ability, EFFECT, 9 + number % 3)]
    facts += [(SPECIES[-1], TYPE, 4), (ABILITIES[-1], EFFECT, 9)]
    held_out = [(SPECIES[8], GROWTH, MEDIUM), (ABILITIES[1], TYPE, 4)]
    size = ABILITIES[-1] + 1
    labels = [f"e{number}" for number in range(size)]
    relations = ["generation", "growth", "effect", "type", "shape"]
    triples = {"train": facts, "valid": held_out, "test": held_out[:0]}
    return Graph(
        entity_labels=labels,
        entity_names=labels,
        entity_descriptions=[""] * size,
        relation_labels=relations,
        relation_names=relations,
        triples={
            name: torch.tensor(rows, dtype=torch.long).reshape(-1, 3)
            for name, rows in triples.items()
        },
    )


def asked_of_creatures() -> set[tuple[int, int]]:
    known = known_tails_in(creatures(), ["train"])
    return set(map(tuple, plausible_queries(known, 5, 0.5, 10_000).tolist()))


def accepted_of_creatures(query: tuple[int, int]) -> set[int]:
    graph = creatures()
    affinities = estimate_affinities(known_tails_in(graph, ["train"]), graph.num_relations)
    acceptance = Acceptance(graph, affinities, FurtherAnswers(graph), 0.5)
    return set(acceptance.accepted(torch.tensor([query]))[0].nonzero().flatten().tolist())


def test_a_relation_that_most_alike_entities_have_is_asked_for(known: KnownTails) -> None:
    # Two have a capital and a currency, and one without a currency is added: 2 / 3.
    assert [2, CURRENCY] in ask(known, 0.66)
    assert [2, CURRENCY] not in ask(known, 0.67)


def test_one_shared_relation_opens_no_other() -> None:
    asked = asked_of_creatures()
    assert not [ability for ability in ABILITIES if (ability, GROWTH) in asked]
    assert not [species for species in SPECIES if (species, EFFECT) in asked]


def test_an_entity_is_asked_about_what_its_kind_has() -> None:
    asked = asked_of_creatures()
    lacking = [species for species in SPECIES[:-1] if (species - SPECIES[0]) % 8 == 0]
    assert {(species, GROWTH) for species in lacking} <= asked


def test_an_entity_of_one_fact_is_asked_about_what_its_kind_has() -> None:
    asked = asked_of_creatures()
    assert {(SPECIES[-1], GENERATION), (SPECIES[-1], GROWTH), (ABILITIES[-1], GENERATION)} <= asked
    assert not {(SPECIES[-1], EFFECT), (ABILITIES[-1], GROWTH), (ABILITIES[-1], TYPE)} & asked


def test_an_answer_is_accepted_where_its_kind_answers_the_relation() -> None:
    assert accepted_of_creatures((SPECIES[0], GROWTH)) == {MEDIUM, FAST}
    growing = accepted_of_creatures((MEDIUM, GROWTH + 5))
    assert set(SPECIES) >= growing >= {SPECIES[0], SPECIES[-1]}


def test_a_held_out_fact_of_another_kind_is_not_accepted() -> None:
    assert ABILITIES[1] not in accepted_of_creatures((4, TYPE + 5))


def test_a_new_answer_is_accepted_where_no_split_has_used_its_question_up() -> None:
    # Valid gives the growth rate of this one.
    assert accepted_of_creatures((SPECIES[8], GROWTH)) == {MEDIUM}
    assert SPECIES[8] in accepted_of_creatures((MEDIUM, GROWTH + 5))
    assert SPECIES[8] not in accepted_of_creatures((FAST, GROWTH + 5))


def test_a_known_query_is_asked_again_where_others_like_it_have_more(known: KnownTails) -> None:
    # None of three entities has two capitals: 1 / 5 by Laplace's rule, and 1 / 4 for currencies.
    assert [0, CAPITAL] in ask(known, 0.19)
    assert [0, CAPITAL] not in ask(known, 0.21)
    assert [0, CURRENCY] in ask(known, 0.24)


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
