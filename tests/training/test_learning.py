"""A model learns small graphs with known answers."""

from collections.abc import Callable

import pytest
import torch

from imf_core.evaluation.metrics import rank_metrics
from imf_core.evaluation.ranking import COMBINED, rank_triples
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import build_known_tails
from imf_core.model.imf import IMF
from imf_core.model.scorer import Scorer
from imf_core.training.trainer import Trainer

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
"""Parameters without regularisation, to memorise facts."""


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
    """36 entities of 3 kinds, shown by their images; the kinds of half of them are held out.

    A second relation, independent of kinds, keeps every entity in train.
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
    assert chance < 0.3
    # By channel: six valid facts are too few to fit the same decision on every CPU.
    assert mrr(trainer.model, graph, "train", "structural") > 0.95
    assert mrr(trainer.model, graph, "train", "fused") > 0.75


def test_structure_predicts_held_out_facts_of_two_groups(make_trainer: MakeTrainer) -> None:
    graph = two_groups()
    overrides = {**LONG, "model.dim": 16, "model.modalities": ["structure"]}
    trainer = make_trainer(overrides, graph=graph)
    chance = mrr(trainer.model, graph, "test")
    trainer.fit()
    assert chance < 0.3
    assert mrr(trainer.model, graph, "test") > 0.6


@pytest.mark.slow
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
