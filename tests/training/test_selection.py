"""Gradients by facts and weights, and the selected epoch."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from same_weights import assert_same_weights
from tiny_world import small_params

from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import build_known_tails
from imf_core.model.scorer import Scorer
from imf_core.training import trainer as trainer_module
from imf_core.training.decision_fit import fit_decision, score_held_out
from imf_core.training.trainer import Record, Trainer

MakeTrainer = Callable[..., Trainer]


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


def test_each_half_of_valid_is_ranked_with_a_decision_fitted_on_the_other(
    make_trainer: MakeTrainer, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, set[tuple[int, ...]]]] = []

    def watch(name: str) -> Callable[..., object]:
        original = getattr(trainer_module, name)

        def call(scorer: Scorer, triples: torch.Tensor, *further: object) -> object:
            calls.append((name, set(map(tuple, triples.tolist()))))
            return original(scorer, triples, *further)

        return call

    for name in ("score_held_out", "rank_triples"):
        monkeypatch.setattr(trainer_module, name, watch(name))
    make_trainer({"train.epochs": 1}).fit()
    (_, fitted), (_, ranked), (_, second_fitted), (_, second_ranked), (_, last) = calls
    assert [name for name, _ in calls] == 2 * ["score_held_out", "rank_triples"] + [
        "score_held_out"
    ]
    assert (fitted, ranked) == (second_ranked, second_fitted)
    assert not fitted & ranked
    assert last == fitted | ranked == set(map(tuple, graph.triples["valid"].tolist()))


def test_a_large_graph_is_validated_on_a_sample_of_valid(
    make_trainer: MakeTrainer, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = graph.triples["valid"][:4]
    monkeypatch.setattr(trainer_module, "sample_facts", lambda *_: sample)
    sampled = make_trainer({"train.epochs": 1})
    assert torch.equal(torch.cat(sampled.halves).unique(dim=0), sample.unique(dim=0))


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
        for optimizer in trainer.step.optimizers:
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
    assert trainer.model.modality_channels["structural"].encoder.table.weight.abs().sum() > 0


def test_the_decision_of_the_selected_weights_is_fitted_again_on_all_of_valid(
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
    for optimizer in trainer.step.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = 0.0
    progress = trainer.fit()
    assert (progress.best_epoch, progress.epoch) == (2, 8)


def test_the_last_epoch_is_validated_even_between_two_validations(
    make_trainer: MakeTrainer,
) -> None:
    progress = make_trainer({"train.epochs": 5, "train.validate_every": 3}).fit()
    assert [record["epoch"] for record in progress.history] == [3, 5]
