"""Bounds of the work on large graphs; small ones are left as they are."""

import pytest
import torch

from imf_core.base.bounds import (
    LEAST_FACTS,
    LEAST_QUERIES,
    max_predicted_queries,
    max_sample_facts,
    sample_facts,
)
from imf_core.training.calibration_fit import MAX_FACTS

DB15K_ENTITIES, FB15K237_ENTITIES = 12_842, 14_541
FB15K237_VALID = 17_535
LARGE, HUGE = 200_000, 10**8


@pytest.mark.parametrize("num_entities", [300, DB15K_ENTITIES, FB15K237_ENTITIES])
def test_small_graphs_are_validated_and_asked_as_params_say(num_entities: int) -> None:
    assert max_sample_facts(num_entities) > max(MAX_FACTS, FB15K237_VALID)
    assert max_predicted_queries(num_entities) >= 100_000


def test_the_bounds_never_fall_below_a_useful_number() -> None:
    assert max_sample_facts(HUGE) == LEAST_FACTS
    assert max_predicted_queries(HUGE) == LEAST_QUERIES


def test_few_facts_are_all_taken() -> None:
    few = torch.arange(3 * max_sample_facts(LARGE)).view(-1, 3)
    assert sample_facts(few, LARGE, seed=0) is few


def test_a_sample_holds_distinct_facts_in_their_order() -> None:
    facts = torch.arange(15_000).view(-1, 3)
    sample = sample_facts(facts, LARGE, seed=0)
    assert len(sample) == max_sample_facts(LARGE) < len(facts)
    assert torch.equal(sample, facts[sample[:, 0] // 3])
    assert bool((sample[:, 0].diff() > 0).all())


def test_the_seed_alone_decides_the_sample() -> None:
    facts = torch.arange(15_000).view(-1, 3)
    sample = sample_facts(facts, LARGE, seed=0)
    assert torch.equal(sample, sample_facts(facts, LARGE, seed=0))
    assert not torch.equal(sample, sample_facts(facts, LARGE, seed=1))
