"""Grouped training rows and their batches."""

from collections import Counter

import pytest
import torch

from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import KnownTails, build_known_tails, with_inverses
from imf_core.training.batches import Batch, QueryRows, build_rows


@pytest.fixture
def known(graph: Graph) -> KnownTails:
    return build_known_tails(graph.triples["train"], graph.num_entities, graph.num_relations)


def facts_of(batch: Batch) -> list[tuple[int, int, int]]:
    sizes = batch.offsets.diff()
    columns = (batch.heads.repeat_interleave(sizes), batch.relations.repeat_interleave(sizes))
    return list(zip(*(each.tolist() for each in (*columns, batch.tails)), strict=True))


def epoch(rows: QueryRows, batch_size: int = 5, seed: int = 0) -> list[tuple[int, int, int]]:
    return [fact for batch in rows.batches(batch_size, seed) for fact in facts_of(batch)]


@pytest.mark.parametrize("max_positives", [None, 1, 2, 3, 1000])
@pytest.mark.parametrize("batch_size", [1, 5, 1000])
def test_every_positive_appears_exactly_once_in_an_epoch(
    known: KnownTails, graph: Graph, max_positives: int | None, batch_size: int
) -> None:
    seen = Counter(epoch(build_rows(known, max_positives), batch_size))
    train = with_inverses(graph.triples["train"], graph.num_relations)
    assert seen == Counter(map(tuple, train.tolist()))


def test_no_held_out_fact_is_a_training_target(known: KnownTails, graph: Graph) -> None:
    seen = set(epoch(build_rows(known, 2)))
    for split in ("valid", "test"):
        held_out = with_inverses(graph.triples[split], graph.num_relations).tolist()
        assert not seen & set(map(tuple, held_out))


@pytest.mark.parametrize("max_positives", [1, 2, 3])
def test_no_row_has_more_positives_than_asked_for(known: KnownTails, max_positives: int) -> None:
    rows = build_rows(known, max_positives)
    assert rows.sizes.min() >= 1
    assert rows.sizes.max() == max_positives


def test_rows_that_are_not_split_are_the_queries(known: KnownTails) -> None:
    rows = build_rows(known, None)
    assert torch.equal(rows.queries, known.queries)
    assert torch.equal(rows.sizes, known.offsets.diff())


def test_a_batch_has_as_many_rows_as_asked_for(known: KnownTails) -> None:
    rows = build_rows(known, 2)
    sizes = [len(batch.heads) for batch in rows.batches(batch_size=5, seed=0)]
    assert sizes[:-1] == [5] * (len(sizes) - 1)
    assert sum(sizes) == len(rows)


def test_the_same_seed_gives_the_same_order(known: KnownTails) -> None:
    rows = build_rows(known, 2)
    torch.manual_seed(1)
    one = epoch(rows, seed=3)
    torch.manual_seed(2)
    assert epoch(rows, seed=3) == one


def test_another_seed_gives_another_order(known: KnownTails) -> None:
    rows = build_rows(known, 2)
    assert epoch(rows, seed=3) != epoch(rows, seed=4)


def test_offsets_start_at_zero_and_end_at_the_number_of_positives(known: KnownTails) -> None:
    for batch in build_rows(known, 2).batches(4, seed=0):
        assert batch.offsets[0] == 0
        assert batch.offsets[-1] == len(batch.tails)
        assert len(batch.offsets) == len(batch.heads) + 1
