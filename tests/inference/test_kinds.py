"""The share of similar entities that have a relation."""

import numpy as np
import pytest
import torch

from imf_core.graph.known_tails import KnownTails, build_known_tails
from imf_core.inference import plausibility
from imf_core.inference.plausibility import estimate_affinities

NUM_RELATIONS = 6


def known_of(signatures: list[list[int]]) -> KnownTails:
    """Returns facts that give each entity some relations; all facts share one answer."""
    answer = len(signatures)
    facts = [(head, each, answer) for head, has in enumerate(signatures) for each in has]
    return build_known_tails(torch.tensor(facts), answer + 1, NUM_RELATIONS)


def affinity_of(known: KnownTails, entity: int, relation: int) -> float:
    affinities = estimate_affinities(known, NUM_RELATIONS)
    return float(affinities.affinity[affinities.signature_ids[entity], relation])


def test_the_relation_itself_is_left_out_of_the_comparison() -> None:
    # 30 of 40 others with relations 0 and 1 have 2 as well; one without it is added.
    known = known_of([[0, 1, 2]] * 30 + [[0, 1]] * 11)
    assert affinity_of(known, 40, 2) == pytest.approx(30 / 41)


def test_a_relation_that_a_neighbour_lacks_weighs_more_than_one_that_it_has_beyond() -> None:
    # Relation 0 is shared by two kinds; 1 tells the entity's.
    known = known_of([[0, 1, 2, 3]] * 25 + [[0, 4]] * 100 + [[0, 1]])
    assert affinity_of(known, 125, 2) > 0.8
    assert affinity_of(known, 125, 4) < 0.1


def test_entities_that_share_no_relation_are_not_alike() -> None:
    known = known_of([[0]] * 2 + [[1, 2]] * 500)
    assert affinity_of(known, 0, 1) == affinity_of(known, 0, 2) == 0


def test_an_entity_without_facts_has_no_affinity() -> None:
    known = known_of([[0, 1]] * 30 + [[]])
    affinities = estimate_affinities(known, NUM_RELATIONS)
    assert affinities.affinity[affinities.signature_ids[30]].nnz == 0


def test_the_order_of_the_entities_changes_nothing() -> None:
    signatures = [[0, 1, 2]] * 20 + [[0, 1]] * 9 + [[0, 3]] * 30 + [[0]] * 2
    order = np.random.default_rng(0).permutation(len(signatures))
    shuffled = known_of([signatures[each] for each in order])
    for entity in (0, 20, 29, 59):
        place = int(np.flatnonzero(order == entity)[0])
        for relation in range(NUM_RELATIONS):
            found = affinity_of(shuffled, place, relation)
            assert found == affinity_of(known_of(signatures), entity, relation)


def test_fewer_references_stand_for_the_signatures_next_to_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = np.random.default_rng(0)
    signatures = [[0, *np.flatnonzero(generator.random(2) < 0.9) + 1] for _ in range(300)]
    signatures += [[0, *np.flatnonzero(generator.random(2) < 0.9) + 3] for _ in range(300)]
    known = known_of([list(map(int, each)) for each in signatures])
    monkeypatch.setattr(plausibility, "REFERENCES", 6)
    lacking = [each for each in range(300) if 1 not in signatures[each] and 2 in signatures[each]]
    assert affinity_of(known, lacking[0], 1) > 0.5
    assert affinity_of(known, lacking[0], 3) < 0.1
