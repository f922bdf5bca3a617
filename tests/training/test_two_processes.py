"""Two processes rank exactly like one, and train like one up to rounding."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.multiprocessing.spawn import start_processes
from two_at_work import (
    BLOCKS,
    GRAPHS,
    NOISY,
    TRAINED,
    KilledError,
    kill_at_second,
    rank,
    train,
    work,
)

from imf_core.training.checkpoint import Checkpoints

pytestmark = pytest.mark.slow

MARK = -1.0
"""An impossible loss."""

DECISION_TOLERANCE = {"valid_mrr": 5e-3}
"""The fit of the decision, on six facts, ends a step earlier or later by rounding: noise of a
millionth in the weights of one process moves one of twelve ranks by one, and weights by 1 %."""

Found = tuple[dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """The results of the two processes, from one start."""
    folder = tmp_path_factory.mktemp("two")
    with pytest.raises(KilledError):
        train(
            NOISY, checkpoints=Checkpoints(folder / "of one", "key"), on_validation=kill_at_second
        )
    checkpoints = Checkpoints(folder / "of one", "key")
    state = checkpoints.load()
    assert state is not None
    state["losses"][0] = MARK
    checkpoints.save(state)
    checkpoints.release()
    start_processes(work, (folder,), nprocs=2, start_method="spawn")
    first, second = (torch.load(folder / f"{i}.pt", weights_only=False) for i in range(2))
    return first, second


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("blocks", BLOCKS)
def test_two_processes_rank_exactly_as_one(found: Found, blocks: str, graph: str) -> None:
    alone = rank(BLOCKS[blocks], GRAPHS[graph]())
    for process in found:
        table = process["ranks"][blocks, graph]
        assert table["ranks"].keys() == alone.ranks.keys()
        for name, ranks in alone.ranks.items():
            assert np.array_equal(table["ranks"][name], ranks), name
        assert np.array_equal(table["num_candidates"], alone.num_candidates)


@pytest.mark.parametrize("name", TRAINED)
def test_two_processes_train_as_one(found: Found, name: str) -> None:
    losses, history, model = train(TRAINED[name])
    first, _ = (process["trained"][name] for process in found)
    assert first[0] == pytest.approx(losses, rel=1e-5)
    for record, expected in zip(first[1], history, strict=True):
        assert record.keys() == expected.keys()
        for key, value in expected.items():
            tolerance = DECISION_TOLERANCE.get(key, 1e-2 * abs(value))
            assert record[key] == pytest.approx(value, abs=tolerance), key
    # The decision is fitted, not trained: rounding may end its fit a little earlier or later.
    weights = {key: each for key, each in model.state_dict().items() if "decision." not in key}
    trained = {key: first[2][key] for key in weights}
    torch.testing.assert_close(trained, weights, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", TRAINED)
def test_both_processes_know_the_same(found: Found, name: str) -> None:
    first, second = (process["trained"][name] for process in found)
    assert first[:2] == second[:2]


def test_two_processes_go_on_where_one_was_killed(found: Found) -> None:
    losses, history, _ = train(NOISY)
    for process in found:
        resumed_losses, resumed_history = process["resumed"]
        assert resumed_losses[0] == MARK  # the steps of the killed run were not repeated
        assert resumed_losses[1:] == pytest.approx(losses[1:], rel=1e-5)
        assert [each["epoch"] for each in resumed_history] == [each["epoch"] for each in history]
