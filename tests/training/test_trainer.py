"""The training loop on the tiny graph."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_world import small_params

from imf_core.data.graph import Graph
from imf_core.data.known_tails import build_known_tails
from imf_core.errors import ConfigError, TrainingError
from imf_core.evaluation.metrics import rank_metrics
from imf_core.evaluation.ranking import COMBINED, rank_triples
from imf_core.features.table import FeatureTable
from imf_core.model.imf import IMF
from imf_core.model.scorer import Scorer
from imf_core.training.checkpoint import Checkpoints
from imf_core.training.decision_fit import fit_decision, score_held_out
from imf_core.training.trainer import Record, Trainer

MakeTrainer = Callable[..., Trainer]

LONG = {"train.epochs": 60, "train.validate_every": 60, "train.embedding_learning_rate": 0.3}
"""One validation, at the end, so that the last weights are the selected ones."""

EXACT = {
    **LONG,
    "model.dim": 32,
    "model.relation_dim": 16,
    "train.network_learning_rate": 0.01,
    "train.label_smoothing": 0.0,
    "train.n3": 0.0,
    "train.encoder_n3": 0.0,
}
"""Nothing that keeps the model from learning by heart."""


class KilledError(Exception):
    pass


def state_of(model: IMF) -> list[torch.Tensor]:
    return list(model.state_dict().values())


def assert_same_weights(one: IMF, other: IMF) -> None:
    torch.testing.assert_close(state_of(one), state_of(other), rtol=0, atol=0)


def mrr(model: IMF, graph: Graph, split: str, scorer_name: str = COMBINED) -> float:
    facts = torch.cat(list(graph.triples.values()))
    known = build_known_tails(facts, graph.num_entities, graph.num_relations)
    scorer = Scorer(model)
    table = rank_triples(scorer, graph.triples[split], known, graph.num_relations, batch_size=64)
    return rank_metrics(table.ranks[scorer_name], table.num_candidates)["mrr"]


def two_groups() -> Graph:
    """16 entities in two groups; everybody knows all others of the own group."""
    triples = torch.tensor([(i, 0, j) for i in range(16) for j in range(16) if i != j])
    triples = triples[triples[:, 0] // 8 == triples[:, 2] // 8]
    turn = torch.arange(len(triples)) % 9
    splits = {"train": turn > 1, "valid": turn == 0, "test": turn == 1}
    labels = [f"e{i:02}" for i in range(16)]
    facts = {name: triples[chosen] for name, chosen in splits.items()}
    return Graph(labels, labels, [""] * 16, ["knows"], ["knows"], facts)


def answers_in_the_images() -> tuple[Graph, dict[str, FeatureTable]]:
    """36 things of 3 kinds, which their images show; the kinds of half of them are held out.

    A second relation that says nothing of kinds keeps every thing in train.
    """
    things, kinds = torch.arange(36), torch.arange(36) % 3
    of_kind = torch.stack([things, torch.zeros_like(things), 36 + kinds], dim=1)
    next_to = torch.stack([things, torch.ones_like(things), (things + 1) % 36], dim=1)
    turn = things // 3 % 4
    facts = {
        "train": torch.cat([of_kind[turn > 1], next_to]),
        "valid": of_kind[turn == 0],
        "test": of_kind[turn == 1],
    }
    labels = [f"e{i:02}" for i in range(39)]
    graph = Graph(labels, labels, [""] * 39, ["of_kind", "next_to"], ["of", "next"], facts)
    noise = torch.randn(39, 6, generator=torch.Generator().manual_seed(0))
    vectors = 0.1 * noise
    vectors[torch.arange(39), torch.cat([kinds, torch.tensor([3, 4, 5])])] += 1.0
    return graph, {"image": FeatureTable(vectors, torch.ones(39, dtype=torch.bool))}


def killed_after(validations: int) -> Callable[[Record], None]:
    """Makes a callback that dies at a validation, as a killed process would after its save."""
    calls: list[Record] = []

    def kill(record: Record) -> None:
        calls.append(record)
        if len(calls) == validations:
            raise KilledError

    return kill


@pytest.mark.parametrize("context", ["block-diagonal", "dense"])
@pytest.mark.parametrize("loss", ["cross-entropy", "binary-cross-entropy"])
@pytest.mark.parametrize("sampled", [0, 3])
def test_structure_learns_a_tiny_graph_by_heart(
    context: str, loss: str, sampled: int, make_trainer: MakeTrainer, graph: Graph
) -> None:
    form = {"model.context": context, "train.loss": loss, "train.sampled_candidates": sampled}
    trainer = make_trainer({**EXACT, **form, "model.modalities": ["structure"]})
    trainer.fit()
    assert mrr(trainer.model, graph, "train") > 0.95


@pytest.mark.parametrize("detach", [True, False])
def test_the_whole_model_learns_a_tiny_graph_by_heart(
    detach: bool, make_trainer: MakeTrainer, graph: Graph
) -> None:
    trainer = make_trainer({**EXACT, "fusion.detach": detach})
    chance = mrr(trainer.model, graph, "train", "fused")
    trainer.fit()
    assert mrr(trainer.model, graph, "train") > 0.95
    assert mrr(trainer.model, graph, "train", "fused") > 2 * chance


def test_structure_predicts_held_out_facts_of_two_groups(make_trainer: MakeTrainer) -> None:
    graph = two_groups()
    trainer = make_trainer({**LONG, "model.modalities": ["structure"]}, graph=graph)
    chance = mrr(trainer.model, graph, "test")
    trainer.fit()
    assert chance < 0.3
    assert mrr(trainer.model, graph, "test") > 0.6


def test_images_predict_what_structure_cannot_and_get_the_weight(
    make_trainer: MakeTrainer,
) -> None:
    graph, tables = answers_in_the_images()
    overrides = {**EXACT, "train.encoder_n3": 0.05, "model.modalities": ["structure", "image"]}
    trainer = make_trainer(overrides, graph=graph, tables=tables)
    record = trainer.fit().history[-1]
    assert mrr(trainer.model, graph, "test", "structural") < 0.6
    assert mrr(trainer.model, graph, "test", "visual") > 0.8
    assert mrr(trainer.model, graph, "test") > 0.8
    assert record["weight_visual"] > record["weight_structural"]


def test_the_loss_falls(make_trainer: MakeTrainer) -> None:
    losses = make_trainer({"train.epochs": 10}).fit().losses
    assert losses[-1] < 0.9 * losses[0]


def test_the_same_seed_gives_the_same_losses_and_weights(make_trainer: MakeTrainer) -> None:
    noisy = {"model.dropout": 0.3, "model.head_dropout": 0.1, "fusion.dropout": 0.2}
    one, other = make_trainer(noisy), make_trainer(noisy)
    assert one.fit().losses == other.fit().losses
    assert_same_weights(one.model, other.model)


def test_another_seed_gives_other_losses(make_trainer: MakeTrainer) -> None:
    assert make_trainer().fit().losses != make_trainer({"train.seed": 1}).fit().losses


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


def test_a_loss_that_is_not_finite_stops_training_in_its_epoch(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    with torch.no_grad():
        trainer.model.relation_tables["structural"][0] = float("nan")
    with pytest.raises(TrainingError, match=r"not finite in epoch 1; lower .*learning_rate"):
        trainer.fit()


@pytest.mark.parametrize("size", [3e38, float("inf"), float("nan")])
def test_weights_that_fail_after_the_last_step_stop_training(
    make_trainer: MakeTrainer, size: float
) -> None:
    trainer = make_trainer({"train.epochs": 1})
    weight = trainer.model.relation_tables["structural"]
    step = trainer.optimizers[0].step

    def step_too_far() -> None:
        step()
        with torch.no_grad():
            weight.fill_(size)

    trainer.optimizers[0].step = step_too_far
    trainer.params = trainer.params.model_copy(update={"batch_size": 10_000})
    with pytest.raises(TrainingError, match=r"no longer finite; lower train\.embedding"):
        trainer.fit()


@pytest.mark.parametrize(("split", "kept"), [("train", 0), ("valid", 0), ("valid", 1)])
def test_a_split_of_too_few_facts_is_named(
    split: str, kept: int, make_trainer: MakeTrainer, graph: Graph
) -> None:
    graph.triples[split] = graph.triples[split][:kept]
    with pytest.raises(TrainingError, match=rf"{split} holds {kept} facts, at least"):
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


def test_test_facts_change_nothing_in_training(make_trainer: MakeTrainer, graph: Graph) -> None:
    one = make_trainer()
    other_test = {**graph.triples, "test": torch.tensor([[0, 0, 1], [5, 1, 4]])}
    other = make_trainer(graph=replace(graph, triples=other_test))
    assert one.fit().history == other.fit().history
    assert_same_weights(one.model, other.model)


def test_valid_facts_move_no_weight_but_the_decision(
    make_trainer: MakeTrainer, graph: Graph
) -> None:
    last = {"train.epochs": 3, "train.validate_every": 3}
    one = make_trainer(last)
    swapped = {**graph.triples, "valid": graph.triples["test"], "test": graph.triples["valid"]}
    other = make_trainer(last, graph=replace(graph, triples=swapped))
    assert one.fit().losses == other.fit().losses
    for name, value in one.model.state_dict().items():
        if not name.startswith("decision."):
            assert torch.equal(value, other.model.state_dict()[name])


def test_the_decision_is_fitted_and_the_epoch_selected_on_different_facts(
    make_trainer: MakeTrainer, graph: Graph
) -> None:
    trainer = make_trainer()
    halves = [set(map(tuple, half.tolist())) for half in (trainer.fit_half, trainer.selection_half)]
    assert not halves[0] & halves[1]
    assert halves[0] | halves[1] == set(map(tuple, graph.triples["valid"].tolist()))


def test_the_selected_weights_are_those_of_the_best_validation(make_trainer: MakeTrainer) -> None:
    progress = make_trainer({"train.epochs": 12}).fit()
    best = max(record["valid_mrr"] for record in progress.history)
    first = next(each["epoch"] for each in progress.history if each["valid_mrr"] == best)
    assert (progress.best_mrr, progress.best_epoch) == (best, first)


def test_the_model_ends_with_the_selected_weights_and_not_with_the_last(
    make_trainer: MakeTrainer, graph: Graph
) -> None:
    # Facts known from train, so that trained weights beat spoiled ones in validation.
    graph.triples["valid"] = graph.triples["train"][:10]
    trainer = make_trainer({"train.epochs": 40, "train.validate_every": 20}, graph=graph)

    def spoil(record: Record) -> None:
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = 0.0
        with torch.no_grad():
            for parameter in trainer.model.parameters():
                parameter.zero_()

    progress = trainer.fit(spoil)
    assert (progress.best_epoch, progress.epoch) == (20, 40)
    for name, value in trainer.model.state_dict().items():
        if not name.startswith("decision."):
            assert torch.equal(value, progress.best_state[name])
    assert trainer.model.encoders["structural"].table.weight.abs().sum() > 0


def test_the_decision_of_the_selected_weights_is_fitted_anew_on_the_whole_of_valid(
    make_trainer: MakeTrainer, graph: Graph
) -> None:
    trainer = make_trainer()
    state = trainer.fit().best_state
    found = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    seen = torch.cat([graph.triples["train"], graph.triples["valid"]])
    known = build_known_tails(seen, graph.num_entities, graph.num_relations)
    valid = graph.triples["valid"]
    held_out = score_held_out(Scorer(trainer.model), valid, known, graph.num_relations, 512)
    fit_decision(trainer.model.decision, held_out, small_params().decision)
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(found[name], value)
    assert not torch.equal(found["decision.global_logits"], state["decision.global_logits"])


def test_training_stops_after_validations_without_gain(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer({"train.epochs": 50, "train.validate_every": 2, "train.patience": 3})
    for optimizer in trainer.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = 0.0
    progress = trainer.fit()
    assert (progress.best_epoch, progress.epoch) == (2, 8)


def test_the_last_epoch_is_validated_even_between_two_validations(
    make_trainer: MakeTrainer,
) -> None:
    progress = make_trainer({"train.epochs": 5, "train.validate_every": 3}).fit()
    assert [record["epoch"] for record in progress.history] == [3, 5]


def test_a_record_names_the_loss_and_the_mrr_and_weight_of_every_head(
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
    groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
    trained = [id(parameter) for group in groups for parameter in group["params"]]
    parameters = trainer.model.named_parameters()
    expected = [id(value) for name, value in parameters if not name.startswith("decision.")]
    assert sorted(trained) == sorted(expected)


def test_tables_with_a_row_per_entity_are_trained_with_adagrad(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    (adagrad,) = (each for each in trainer.optimizers if isinstance(each, torch.optim.Adagrad))
    assert {names[id(each)] for each in adagrad.param_groups[0]["params"]} == {
        "encoders.structural.table.weight",
        "encoders.visual.absent.weight",
        "encoders.textual.absent.weight",
        "relation_tables.structural",
    }


def test_rows_of_a_binary_loss_stay_whole(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer({"train.loss": "binary-cross-entropy", "train.positives_per_row": 1})
    assert trainer.rows.sizes.max() > 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is there")
def test_a_missing_cuda_device_is_named_with_its_key(make_trainer: MakeTrainer) -> None:
    with pytest.raises(ConfigError, match=r"train\.device is cuda, but no CUDA device"):
        make_trainer({"train.device": "cuda"})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is there")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_tiny_graph_is_learned_by_heart_on_cuda(
    precision: str, make_trainer: MakeTrainer, graph: Graph
) -> None:
    device = {"train.device": "cuda", "train.precision": precision}
    trainer = make_trainer({**EXACT, **device})
    trainer.fit()
    assert mrr(trainer.model, graph, "train") > 0.95
