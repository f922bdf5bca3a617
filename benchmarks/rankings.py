"""Compared rankings of held-out facts: this library's, the textbook's and PyKEEN's."""

from collections.abc import Mapping

import torch

from benchmarks import textbook
from benchmarks.contestant import Case
from benchmarks.graphs import World
from benchmarks.pykeen_tucker import make_pykeen_facts, make_pykeen_tucker
from benchmarks.recipes import DENSE, read_params
from imf_core.data.known_tails import known_tails_in, with_inverses
from imf_core.evaluation.ranking import rank_triples
from imf_core.inference.saved_model import build_model
from imf_core.model.scorer import Scorer

TEXTBOOK_BATCH = 128
"""Queries that the textbook and PyKEEN rank at once."""

FEW_FACTS = 512
"""Facts that they rank, enough to make their setup time negligible."""


def make_our_ranking(world: World, recipe: Mapping[str, object]) -> Case:
    """Prepares the ranking of test as in the stage `evaluate`, including its setup.

    Args:
        world: Its test facts are ranked, filtered by all facts.
        recipe: Values on top of `params.yaml`.
    """
    params = read_params(recipe)
    torch.manual_seed(0)
    model = build_model(world.graph, world.tables, params.model, params.fusion)
    triples = world.graph.triples["test"]

    def work() -> None:
        rank_triples(
            Scorer(model),
            triples,
            known_tails_in(world.graph),
            world.graph.num_relations,
            params.evaluate.batch_size,
        )

    return Case(work, len(triples))


def make_textbook_ranking(world: World) -> Case:
    """Prepares the ranking of a few facts with the dense model, as in a textbook."""
    params = read_params(DENSE)
    torch.manual_seed(0)
    model = build_model(world.graph, world.tables, params.model, params.fusion).eval()
    answers = known_tails_in(world.graph)
    tails = answers.tails.split(answers.offsets.diff().tolist())
    known = {
        (head, relation): each.tolist()
        for (head, relation), each in zip(answers.queries.tolist(), tails, strict=True)
    }
    facts = with_inverses(world.graph.triples["test"][:FEW_FACTS], world.graph.num_relations)

    def work() -> None:
        textbook.rank(model, facts, known, TEXTBOOK_BATCH)

    return Case(work, FEW_FACTS)


def make_pykeen_ranking(world: World) -> Case:
    """Prepares the ranking of a few facts with PyKEEN's evaluator, filtered by all facts."""
    from pykeen.evaluation import RankBasedEvaluator  # noqa: PLC0415  takes seconds and memory

    triples = world.graph.triples
    model = make_pykeen_tucker(make_pykeen_facts(world, triples["train"]))
    evaluator = RankBasedEvaluator(filtered=True)

    def work() -> None:
        evaluator.evaluate(
            model,
            triples["test"][:FEW_FACTS],
            batch_size=TEXTBOOK_BATCH,
            additional_filter_triples=[triples["train"], triples["valid"]],
            use_tqdm=False,
        )

    return Case(work, FEW_FACTS)
