"""Pretraining: hidden facts, resumed runs, and weights that score unseen graphs."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from imf_core.base.errors import DataError
from recipes.pretrain import Pretraining, Run, hide_facts
from recipes.subgraphs import FactIndex, index_facts

SETTINGS = Pretraining(dim=4, relation_layers=1, entity_layers=2, steps=6, batch_size=4)


def make_triples() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    limits = torch.tensor([60, 4, 60])
    return (torch.rand(300, 3, generator=generator) * limits).long().unique(dim=0)


def make_sources() -> list[FactIndex]:
    return [index_facts(make_triples(), 60, 4)]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def as_facts(triples: Tensor, num_relations: int) -> set[tuple[int, ...]]:
    """Facts in their own direction."""
    return {
        (head, relation, tail)
        if relation < num_relations
        else (tail, relation - num_relations, head)
        for head, relation, tail in triples.tolist()
    }


def test_asked_facts_are_in_the_subgraph_and_in_no_direction_in_what_is_shown() -> None:
    triples, directions = make_triples(), set()
    for seed in range(4):
        asked, shown = hide_facts(triples, 16, torch.Generator().manual_seed(seed))
        assert len(asked) == 16
        assert as_facts(asked, 4) <= as_facts(triples, 4)
        assert not as_facts(asked, 4) & as_facts(shown, 4)
        assert 0.6 * len(triples) < len(shown) <= len(triples) - 16
        directions |= set((asked[:, 1] < 4).tolist())
    assert directions == {True, False}


def test_at_most_half_of_the_facts_are_asked() -> None:
    asked, shown = hide_facts(make_triples()[:5], 16, torch.Generator().manual_seed(0))
    assert len(asked) == 2
    assert len(shown) <= 3


def test_runs_at_one_seed_are_equal_and_others_differ(tmp_path: Path) -> None:
    traces = [
        list(Run(replace(SETTINGS, seed=seed), make_sources(), tmp_path / name).train())
        for seed, name in ((0, "a"), (0, "b"), (1, "c"))
    ]
    assert traces[0] == traces[1] != traces[2]


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = Run(SETTINGS, make_sources(), tmp_path / "whole.pt")
    expected = list(whole.train())
    stopped = Run(SETTINGS, make_sources(), tmp_path / "stopped.pt")
    trace = stopped.train()
    first = [next(trace) for _ in range(3)]
    stopped.save()
    next(trace)
    resumed = Run(SETTINGS, make_sources(), tmp_path / "stopped.pt")
    assert resumed.step == 3
    assert first + list(resumed.train()) == expected
    torch.testing.assert_close(
        resumed.network.state_dict(), whole.network.state_dict(), rtol=0, atol=0
    )


def test_a_damaged_checkpoint_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"no checkpoint")
    with pytest.raises(DataError, match=r"state\.pt cannot be read .* delete it"):
        Run(SETTINGS, make_sources(), tmp_path / "state.pt")
