"""The moving average of the weights."""

from collections.abc import Callable

import pytest
import torch
from same_weights import assert_same_weights
from tiny_world import tiny_model

from imf_core.model.imf import IMF
from imf_core.training.averaging import WeightAverage
from imf_core.training.trainer import Record, Trainer

MakeTrainer = Callable[..., Trainer]


def set_weights(model: IMF, value: float) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)


def weights(model: IMF) -> set[float]:
    return {round(value, 5) for each in model.parameters() for value in each.flatten().tolist()}


def test_an_average_starts_where_the_model_is_and_leaves_it_alone() -> None:
    model = tiny_model()
    before = tiny_model()
    average = WeightAverage(model, 0.9)
    assert_same_weights(average.model, model)
    set_weights(average.model, 7.0)
    assert_same_weights(model, before)


def test_steps_decay_slowly_first_and_then_at_the_given_rate() -> None:
    model = tiny_model()
    set_weights(model, 0.0)
    average = WeightAverage(model, 0.25)
    set_weights(model, 1.0)
    expected = 0.0
    for decay in (1 / 10, 2 / 11, 0.25, 0.25):
        average.update()
        expected = decay * expected + (1 - decay)
        assert weights(average.model) == {round(expected, 5)}


def test_no_decay_gives_the_model_itself() -> None:
    model = tiny_model()
    average = WeightAverage(model, 0.0)
    set_weights(model, 3.0)
    average.update()
    assert_same_weights(average.model, model)


def test_an_average_shares_the_features() -> None:
    model = tiny_model()
    average = WeightAverage(model, 0.9)
    for one, other in zip(model.buffers(), average.model.buffers(), strict=True):
        assert one.data_ptr() == other.data_ptr()


def test_the_average_is_what_training_validates_and_keeps(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer({"train.epochs": 2, "train.validate_every": 2})
    trained = {}

    def remember(_: Record) -> None:
        trained.update({key: value.clone() for key, value in trainer.model.state_dict().items()})

    trainer.fit(remember)
    average = trainer.step.average.model.state_dict()
    for name, value in trainer.model.state_dict().items():
        if not name.startswith("decision."):
            assert torch.equal(value, average[name])
    assert not torch.equal(
        average["relation_tables.structural"], trained["relation_tables.structural"]
    )


@pytest.mark.parametrize("decay", [0.0, 0.99])
def test_the_average_changes_nothing_in_training_itself(
    decay: float, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer({"train.average_decay": decay})
    assert trainer.fit().losses == make_trainer().fit().losses
