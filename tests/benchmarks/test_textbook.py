"""The fast paths equal the textbook form in float64."""

import pytest
import torch
from tiny_world import small_params, tiny_graph, tiny_model, tiny_tables
from torch import Tensor

from benchmarks import textbook
from imf_core.evaluation.ranking import COMBINED, rank_triples
from imf_core.graph.known_tails import known_tails_in, with_inverses
from imf_core.model.imf import IMF
from imf_core.model.scorer import Scorer
from imf_core.training.batches import Batch, build_rows
from imf_core.training.objective import Objective, Planner

BINARY = {
    "train.loss": "binary-cross-entropy",
    "train.n3": 0.0,
    "train.encoder_n3": 0.0,
    "train.fused_n3": 0.0,
    "fusion.contrastive_weight": 0.0,
    "fusion.rank": 4,
}


def double_model(context: str) -> IMF:
    model = tiny_model({**BINARY, "model.context": context}, tiny_tables()).double()
    with torch.no_grad():
        for parameter in model.parameters():  # small: a sigmoid of a large number is exactly one
            parameter.mul_(0.4)
    return model


def one_batch() -> Batch:
    known = known_tails_in(tiny_graph(), ["train"])
    rows = build_rows(known, None)
    return next(rows.batches(len(rows), seed=0))


def labels_of(batch: Batch) -> Tensor:
    answers = [tails.tolist() for tails in batch.tails.split(batch.offsets.diff().tolist())]
    return textbook.make_labels(answers, tiny_graph().num_entities).double()


def gradients(model: IMF, loss: Tensor) -> dict[str, Tensor]:
    named = {key: each for key, each in model.named_parameters() if "decision" not in key}
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {
        name: torch.zeros_like(parameter) if gradient is None else gradient
        for (name, parameter), gradient in zip(named.items(), found, strict=True)
    }


@pytest.mark.parametrize("context", ["dense", "block-diagonal"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_gradients_equal_the_textbooks(context: str, smoothing: float) -> None:
    model = double_model(context)
    params = small_params({**BINARY, "train.label_smoothing": smoothing})
    batch = one_batch()
    plan = Planner(model, 0, torch.device("cpu")).plan(batch, torch.Generator())
    fast = Objective(model, params, torch.float64)(plan)
    queries = torch.stack([batch.heads, batch.relations], dim=1)
    slow = textbook.loss(model, queries, labels_of(batch), smoothing)
    torch.testing.assert_close(fast, slow)
    torch.testing.assert_close(gradients(model, fast), gradients(model, slow))


@pytest.mark.parametrize("context", ["dense", "block-diagonal"])
def test_ranks_equal_the_textbooks(context: str) -> None:
    model, graph = double_model(context).eval(), tiny_graph()
    known: dict[tuple[int, int], list[int]] = {}
    for triples in graph.triples.values():
        for head, relation, tail in with_inverses(triples, graph.num_relations).tolist():
            known.setdefault((head, relation), []).append(tail)
    facts = with_inverses(graph.triples["test"], graph.num_relations)
    fast = rank_triples(
        Scorer(model), graph.triples["test"], known_tails_in(graph), graph.num_relations, 4
    )
    assert fast.ranks[COMBINED].tolist() == textbook.rank(model, facts, known, batch_size=4)
