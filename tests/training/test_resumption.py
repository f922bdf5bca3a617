"""A killed run goes on from its checkpoint."""

from collections.abc import Callable
from pathlib import Path

import pytest
from same_weights import assert_same_weights

from imf_core.errors import TrainingError
from imf_core.training.checkpoint import Checkpoints
from imf_core.training.trainer import Record, Trainer

MakeTrainer = Callable[..., Trainer]


class KilledError(Exception):
    pass


def killed_after(validations: int) -> Callable[[Record], None]:
    """Makes a callback that dies at a validation, as a killed process would after its save."""
    calls: list[Record] = []

    def kill(record: Record) -> None:
        calls.append(record)
        if len(calls) == validations:
            raise KilledError

    return kill


@pytest.mark.parametrize("validations", [1, 2, 3])
def test_a_killed_run_goes_on_to_the_same_result(
    validations: int, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    noisy = {
        "model.dropout": 0.3,
        "fusion.dropout": 0.2,
        "train.epochs": 7,
        "train.validate_every": 2,
        "train.sampled_candidates": 6,
    }
    whole = make_trainer(noisy)
    expected = whole.fit()
    killed = make_trainer(noisy, checkpoints=Checkpoints(tmp_path, "key"))
    with pytest.raises(KilledError):
        killed.fit(killed_after(validations))
    resumed = make_trainer(noisy, checkpoints=Checkpoints(tmp_path, "key"))
    found = resumed.fit()
    assert (found.losses, found.history) == (expected.losses, expected.history)
    assert (found.best_epoch, found.best_mrr) == (expected.best_epoch, expected.best_mrr)
    assert_same_weights(resumed.model, whole.model)


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


def test_a_damaged_checkpoint_stops_training(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "key")
    make_trainer(checkpoints=checkpoints).fit()
    (path,) = checkpoints.folder.iterdir()
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(TrainingError, match="is damaged; delete it to train from the start"):
        make_trainer(checkpoints=checkpoints).fit()
