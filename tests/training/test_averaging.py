"""The moving average of the weights."""

from collections.abc import Callable

import pytest
import torch
from same_weights import assert_same_weights
from tiny_world import tiny_model

from imf_core.model.imf import IMF
from imf_core.training.optimization import WeightAverage
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
        average["channels.structural.relations"], trained["channels.structural.relations"]
    )


@pytest.mark.parametrize("decay", [0.0, 0.99])
def test_the_average_changes_nothing_in_training_itself(
    decay: float, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer({"train.average_decay": decay})
    assert trainer.fit().losses == make_trainer().fit().losses


def touch(model: IMF, rows: list[int], *, sparse: bool) -> None:
    """Gives rows of the structural table a gradient of one each."""
    weight = model.modality_channels["structural"].encoder.table.weight
    gradient = torch.zeros_like(weight)
    gradient[rows] = 1.0
    weight.grad = gradient.to_sparse(1) if sparse else gradient


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.995])
@pytest.mark.parametrize("every", [1, 2, 6])
def test_rows_that_rest_are_averaged_as_if_they_had_been_followed(every: int, decay: float) -> None:
    averages = []
    for is_ever_sparse in (False, True):
        model = tiny_model({"model.modalities": ["structure"]})
        weight = model.modality_channels["structural"].encoder.table.weight
        average = WeightAverage(model, decay)
        for step in range(40):
            sparse = is_ever_sparse and step % every == 0  # dense steps between sparse ones
            touch(model, [step % 7, 7 + step % 3], sparse=sparse)
            average.catch_up_with_gradients()
            with torch.no_grad():
                weight -= 0.1 * weight.grad.to_dense()
            average.update()
        average.catch_up()
        averages.append(average.model.modality_channels["structural"].encoder.table.weight.detach())
    torch.testing.assert_close(averages[1], averages[0])


def test_resting_rows_caught_up_twice_stay_where_they_are() -> None:
    model = tiny_model({"model.modalities": ["structure"]})
    average = WeightAverage(model, 0.9)
    touch(model, [3], sparse=True)
    average.catch_up_with_gradients()
    set_weights(model, 1.0)
    average.update()
    average.catch_up()
    before = average.model.modality_channels["structural"].encoder.table.weight.clone()
    average.catch_up()
    assert torch.equal(average.model.modality_channels["structural"].encoder.table.weight, before)
