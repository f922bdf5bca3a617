"""The training loop on the tiny graph."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from same_weights import assert_same_weights
from tiny_world import tiny_tables

from imf_core.base.errors import ConfigError, TrainingError
from imf_core.evaluation.metrics import rank_rows
from imf_core.evaluation.ranking import rank_triples
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import known_tails_in
from imf_core.model.scorer import Scorer
from imf_core.training.trainer import Trainer

MakeTrainer = Callable[..., Trainer]


def test_the_same_seed_gives_the_same_losses_and_weights(make_trainer: MakeTrainer) -> None:
    noisy = {"model.dropout": 0.3, "model.head_dropout": 0.1, "fusion.dropout": 0.2}
    one, other = make_trainer(noisy), make_trainer(noisy)
    assert one.fit().losses == other.fit().losses
    assert_same_weights(one.model, other.model)


def test_another_seed_gives_other_losses(make_trainer: MakeTrainer) -> None:
    assert make_trainer().fit().losses != make_trainer({"train.seed": 1}).fit().losses


def test_a_loss_that_is_not_finite_stops_training_in_its_epoch(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    with torch.no_grad():
        trainer.model.modality_channels["structural"].relations[0] = float("nan")
    with pytest.raises(TrainingError, match=r"not finite in epoch 1; lower .*learning_rate"):
        trainer.fit()


def test_a_further_modality_is_trained_and_ranked_like_image_and_text(
    make_trainer: MakeTrainer, graph: Graph
) -> None:
    tables = tiny_tables()
    tables["numeric"] = replace(tables["text"], vectors=tables["text"].vectors[:, :4])
    model = {"model.modalities": ["structure", "text", "numeric"]}
    trainer = make_trainer(model, tables=tables)
    progress = trainer.fit()
    channels = ["structural", "numeric", "textual", "fused"]
    assert list(trainer.model.channels) == channels
    known = known_tails_in(graph)
    ranks = rank_triples(
        Scorer(trainer.model), graph.triples["test"], known, graph.num_relations, 8, "test"
    )
    assert {f"rank_{name}" for name in channels} <= set(
        rank_rows(ranks, graph, "test").column_names
    )
    assert progress.losses[-1] < progress.losses[0]


@pytest.mark.parametrize("size", [3e38, float("inf"), float("nan")])
def test_weights_that_fail_after_the_last_step_stop_training(
    make_trainer: MakeTrainer, size: float
) -> None:
    trainer = make_trainer({"train.epochs": 1})
    weight = trainer.model.modality_channels["structural"].relations
    step = trainer.step.optimizers[0].step

    def step_too_far() -> None:
        step()
        with torch.no_grad():
            weight.fill_(size)

    trainer.step.optimizers[0].step = step_too_far
    trainer.params = trainer.params.model_copy(update={"batch_size": 10_000})
    with pytest.raises(TrainingError, match=r"no longer finite; lower train\.embedding"):
        trainer.fit()


@pytest.mark.parametrize(("split", "kept"), [("train", 0), ("valid", 0), ("valid", 1)])
def test_a_split_of_too_few_facts_is_named(
    split: str, kept: int, make_trainer: MakeTrainer, graph: Graph
) -> None:
    graph.triples[split] = graph.triples[split][:kept]
    with pytest.raises(TrainingError, match=rf"{split} holds too few facts, {kept}, at least"):
        make_trainer(graph=graph)


def test_two_valid_facts_are_enough(make_trainer: MakeTrainer, graph: Graph) -> None:
    graph.triples["valid"] = graph.triples["valid"][:2]
    assert make_trainer(graph=graph).fit().epoch == 4


@pytest.mark.parametrize("modality", ["image", "text"])
def test_the_features_of_an_entity_without_the_modality_change_nothing_in_training(
    modality: str, make_trainer: MakeTrainer, tables: dict[str, FeatureTable]
) -> None:
    one = make_trainer()
    table = tables[modality]
    noisy = table.vectors + 50.0 * ~table.is_present.unsqueeze(1)
    other = make_trainer(tables={**tables, modality: replace(table, vectors=noisy)})
    assert one.fit().losses == other.fit().losses
    assert_same_weights(one.model, other.model)


def test_a_record_names_the_loss_and_the_mrr_and_weight_of_every_channel(
    make_trainer: MakeTrainer,
) -> None:
    record = make_trainer().fit().history[-1]
    heads = ("structural", "visual", "textual", "fused")
    expected = {"epoch", "loss", "valid_mrr"}
    expected |= {f"valid_mrr_{head}" for head in heads} | {f"weight_{head}" for head in heads}
    assert record.keys() == expected
    assert sum(record[f"weight_{head}"] for head in heads) == pytest.approx(1.0)


def test_every_parameter_but_the_decision_has_one_optimizer(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    groups = [group for optimizer in trainer.step.optimizers for group in optimizer.param_groups]
    trained = [id(parameter) for group in groups for parameter in group["params"]]
    parameters = trainer.model.named_parameters()
    expected = [id(value) for name, value in parameters if not name.startswith("decision.")]
    assert sorted(trained) == sorted(expected)


def test_tables_of_entities_and_relations_are_trained_with_adagrad(
    make_trainer: MakeTrainer,
) -> None:
    trainer = make_trainer()
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    (adagrad,) = (each for each in trainer.step.optimizers if isinstance(each, torch.optim.Adagrad))
    assert {names[id(each)] for each in adagrad.param_groups[0]["params"]} == {
        "channels.structural.encoder.table.weight",
        "channels.visual.encoder.absent.weight",
        "channels.textual.encoder.absent.weight",
        "channels.structural.relations",
        "channels.visual.relations",
        "channels.textual.relations",
    }


def test_rows_of_a_binary_loss_stay_whole(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer({"train.loss": "binary-cross-entropy", "train.positives_per_row": 1})
    assert trainer.rows.sizes.max() > 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is there")
def test_a_missing_cuda_device_is_named_with_its_key(make_trainer: MakeTrainer) -> None:
    with pytest.raises(ConfigError, match=r"train\.device is cuda, but no CUDA device"):
        make_trainer({"train.device": "cuda"})


def test_the_full_form_trains_as_before_the_narrow_one_was_added(make_trainer: MakeTrainer) -> None:
    full = {"fusion.rank": 4, "fusion.dropout": 0.1, "fusion.contrastive_weight": 0.05}
    losses = make_trainer(full).fit().losses  # those of commit 84cf9d3
    assert losses == pytest.approx([23.653885, 19.580824, 17.550859, 16.699574], rel=1e-5)


def test_the_rank_changes_how_the_narrow_form_trains(make_trainer: MakeTrainer) -> None:
    losses = [
        make_trainer({"fusion.form": "narrow", "fusion.rank": rank}).fit().losses
        for rank in (3, 64)
    ]
    assert losses[0] != losses[1]
