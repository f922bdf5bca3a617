"""A killed run and a run of more epochs continue from a checkpoint."""

from collections.abc import Callable
from pathlib import Path

import pytest
from same_weights import assert_same_weights

from imf_core.base.errors import TrainingError
from imf_core.training.checkpoint import Checkpoints
from imf_core.training.trainer import Record, Trainer

MakeTrainer = Callable[..., Trainer]


class KilledError(Exception):
    pass


def killed_after(validations: int) -> Callable[[Record], None]:
    """Makes a callback that dies at a validation, like a process killed after its save."""
    calls: list[Record] = []

    def kill(record: Record) -> None:
        calls.append(record)
        if len(calls) == validations:
            raise KilledError

    return kill


NOISY = {
    "model.dropout": 0.3,
    "fusion.dropout": 0.2,
    "train.epochs": 7,
    "train.validate_every": 2,
    "train.sampled_candidates": 6,
}


def assert_same_result(one: Trainer, other: Trainer) -> None:
    """Compares losses, history, selected epoch and weights, number by number."""
    found, expected = one.progress, other.progress
    assert (found.losses, found.history) == (expected.losses, expected.history)
    assert (found.best_epoch, found.best_mrr) == (expected.best_epoch, expected.best_mrr)
    assert_same_weights(one.model, other.model)


@pytest.mark.parametrize("validations", [1, 2, 3])
def test_a_killed_run_goes_on_to_the_same_result(
    validations: int, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    whole = make_trainer(NOISY)
    whole.fit()
    killed = make_trainer(NOISY, checkpoints=Checkpoints(tmp_path, "key"))
    with pytest.raises(KilledError):
        killed.fit(killed_after(validations))
    resumed = make_trainer(NOISY, checkpoints=Checkpoints(tmp_path, "key"))
    resumed.fit()
    assert_same_result(resumed, whole)


def test_a_resumed_run_reports_its_earlier_validations_first(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(tmp_path, "key")
    with pytest.raises(KilledError):
        make_trainer(checkpoints=checkpoints).fit(killed_after(2))
    reported: list[Record] = []
    progress = make_trainer(checkpoints=checkpoints).fit(reported.append)
    assert reported == progress.history
    assert [record["epoch"] for record in reported] == [1, 2, 3, 4]


def test_a_finished_run_is_not_trained_again(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "key")
    first = make_trainer(checkpoints=checkpoints)
    first.fit()
    again = make_trainer(checkpoints=checkpoints)
    again.rows = None  # nothing to train on
    again.fit()
    assert_same_weights(first.model, again.model)


@pytest.fixture
def finish(make_trainer: MakeTrainer, tmp_path: Path) -> Callable[[int], Trainer]:
    """Returns a function that runs to a number of epochs, like the stage."""

    def run(epochs: int) -> Trainer:
        checkpoints = Checkpoints(tmp_path, "key")
        trainer = make_trainer({**NOISY, "train.epochs": epochs}, checkpoints=checkpoints)
        trainer.fit()
        checkpoints.finish()
        return trainer

    return run


@pytest.mark.parametrize("first", [1, 2, 3, 4, 7])
def test_a_run_of_more_epochs_goes_on_from_the_finished_one(
    first: int, make_trainer: MakeTrainer, finish: Callable[[int], Trainer], tmp_path: Path
) -> None:
    whole = make_trainer({**NOISY, "train.epochs": 9})
    whole.fit()
    finish(first)
    state = Checkpoints(tmp_path, "key").load()
    assert (state["epoch"] if state else 0) == first - first % NOISY["train.validate_every"]
    assert_same_result(finish(9), whole)


def test_what_was_trained_before_is_not_trained_again(
    make_trainer: MakeTrainer, finish: Callable[[int], Trainer], tmp_path: Path
) -> None:
    finish(4)
    trainer = make_trainer({**NOISY, "train.epochs": 6}, checkpoints=Checkpoints(tmp_path, "key"))
    epochs = []
    train_epoch = trainer._epoch
    trainer._epoch = lambda: epochs.append(trainer.progress.epoch) or train_epoch()
    trainer.fit()
    assert epochs == [4, 5]


@pytest.mark.parametrize("fewer", [1, 3, 5])
def test_a_run_of_fewer_epochs_equals_a_fresh_one(
    fewer: int, make_trainer: MakeTrainer, finish: Callable[[int], Trainer]
) -> None:
    fresh = make_trainer({**NOISY, "train.epochs": fewer})
    fresh.fit()
    finish(7)
    assert_same_result(finish(fewer), fresh)


@pytest.mark.parametrize("validations", [1, 3, 4])
def test_a_run_killed_while_it_goes_on_from_a_finished_one_goes_on(
    validations: int,
    make_trainer: MakeTrainer,
    finish: Callable[[int], Trainer],
    tmp_path: Path,
) -> None:
    whole = make_trainer({**NOISY, "train.epochs": 9})
    whole.fit()
    finish(4)  # after two validations
    killed = make_trainer({**NOISY, "train.epochs": 9}, checkpoints=Checkpoints(tmp_path, "key"))
    with pytest.raises(KilledError):
        killed.fit(killed_after(validations))
    state = Checkpoints(tmp_path, "key").load()
    assert state is not None
    assert state["epoch"] == 2 * max(2, validations)
    assert_same_result(finish(9), whole)


def test_a_run_that_has_stalled_is_not_trained_further(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    # Without any gain after the first validation.
    still = {"train.validate_every": 1, "train.patience": 2, "train.average_decay": 0.0}
    first = make_trainer({**still, "train.epochs": 30}, checkpoints=Checkpoints(tmp_path, "key"))
    first._validate = lambda: {"epoch": first.progress.epoch, "loss": 1.0, "valid_mrr": 0.5}
    assert first.fit().epoch == 3
    more = make_trainer({**still, "train.epochs": 60}, checkpoints=Checkpoints(tmp_path, "key"))
    more.rows = None  # nothing to train on
    assert more.fit().epoch == 3
    assert_same_result(more, first)


def test_a_damaged_checkpoint_stops_training(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "key")
    make_trainer(checkpoints=checkpoints).fit()
    (path,) = checkpoints.folder.iterdir()
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(TrainingError, match="is damaged; delete it to train from the start"):
        make_trainer(checkpoints=checkpoints).fit()


def test_a_kept_state_is_read_once(
    make_trainer: MakeTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_trainer(NOISY, checkpoints=Checkpoints(tmp_path, "key")).fit()
    resumed = make_trainer(NOISY, checkpoints=Checkpoints(tmp_path, "key"))
    load, reads = Checkpoints.load, []
    monkeypatch.setattr(Checkpoints, "load", lambda self: reads.append(1) or load(self))
    assert resumed.find_start() == (6, 6)
    resumed.fit()
    assert len(reads) == 1
    resumed.fit()
    assert len(reads) == 2
