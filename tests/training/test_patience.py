"""The end of training: at the bound of epochs, or without gain in validations."""

from collections.abc import Callable

import pytest

from imf_core.training.trainer import LEAST_WAIT, Progress, Trainer

MakeTrainer = Callable[..., Trainer]


@pytest.fixture
def stop(make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Progress]:
    """Returns a function that runs the loop with the highest MRR on valid at `best`."""

    def run(best: int, patience: int | str = "auto", every: int = 1, epochs: int = 500) -> Progress:
        trainer = make_trainer(
            {"train.epochs": epochs, "train.validate_every": every, "train.patience": patience}
        )
        monkeypatch.setattr(trainer, "_epoch", lambda: 1.0)
        monkeypatch.setattr(trainer, "_validate", lambda: record(trainer.progress.epoch, best))
        return trainer.fit()

    return run


def record(epoch: int, best: int) -> dict[str, float]:
    return {"epoch": epoch, "loss": 1.0, "valid_mrr": 1 / (1 + abs(epoch - best))}


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("validations", [10, 11, 12, 13, 25, 40])
def test_no_more_than_a_third_of_the_epochs_comes_after_the_best_one(
    validations: int, every: int, stop: Callable[..., Progress]
) -> None:
    assert validations >= 2 * LEAST_WAIT
    progress = stop(best=validations * every, every=every)
    assert progress.best_epoch == validations * every
    assert 0 < progress.epoch - progress.best_epoch <= progress.epoch / 3


@pytest.mark.parametrize("best", [2, 6, 18])
def test_after_an_early_best_epoch_some_validations_are_waited_for(
    best: int, stop: Callable[..., Progress]
) -> None:
    progress = stop(best=best, every=2)
    assert (progress.best_epoch, progress.epoch) == (best, best + 2 * LEAST_WAIT)


@pytest.mark.parametrize(("patience", "every"), [(1, 1), (3, 1), (3, 2), (60, 1)])
def test_a_patience_given_by_hand_stands(
    patience: int, every: int, stop: Callable[..., Progress]
) -> None:
    progress = stop(best=20, patience=patience, every=every)
    assert (progress.best_epoch, progress.epoch) == (20, 20 + patience * every)


def test_epochs_are_an_upper_bound(stop: Callable[..., Progress]) -> None:
    assert stop(best=30, epochs=33).epoch == 33


@pytest.mark.parametrize(("best", "is_rising"), [(40, True), (7, True), (6, False), (3, False)])
def test_a_best_epoch_that_is_the_last_one_is_still_rising(
    best: int, is_rising: bool, stop: Callable[..., Progress]
) -> None:
    progress = stop(best=best, every=2, epochs=7)
    assert progress.epoch == 7
    assert progress.is_still_rising is is_rising


def test_the_time_of_the_first_epoch_is_reported_once(make_trainer: MakeTrainer) -> None:
    seconds: list[float] = []
    make_trainer({"train.epochs": 3}).fit(on_first_epoch=seconds.append)
    (first,) = seconds
    assert first > 0
