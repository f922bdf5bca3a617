"""Evaluation: ranking held-out facts, in both directions, against textbook and PyKEEN.

On a graph of DB15K's shape. This library ranks all of test, so that its work per test set and its
savings on repeated queries count; the others treat each batch alike and rank a few.
"""

from collections.abc import Callable, Mapping

import torch

from benchmarks import textbook
from benchmarks.accuracy import DENSE, ONE_HEAD, read_params
from benchmarks.case import Case, measure_memory, time_per_item
from benchmarks.graphs import World, make_db15k_like
from benchmarks.peers import PYKEEN, make_pykeen_facts, make_pykeen_tucker
from benchmarks.results import Row
from imf_core.evaluation.ranking import rank_triples
from imf_core.graph.known_tails import known_tails_in, with_inverses
from imf_core.model.saved import build_model
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


PART = "evaluation"
ROUNDS = 3

CASES: Mapping[str, Callable[[World], Case]] = {
    "dense": lambda world: make_our_ranking(world, DENSE),
    "dense, one channel": lambda world: make_our_ranking(world, ONE_HEAD),
    "default recipe": lambda world: make_our_ranking(world, {}),
    "textbook": make_textbook_ranking,
    PYKEEN: make_pykeen_ranking,
}
"""Rankings by name in the table."""

NOTES = {
    "dense": "four channels, D 256; every channel and the decision are ranked",
    "dense, one channel": "structure only: the model that TuckER is",
    "default recipe": "params.yaml; every channel and the decision are ranked",
    "textbook": f"the dense model's decision alone, batches of {TEXTBOOK_BATCH}",
    PYKEEN: f"one channel, D 256, RankBasedEvaluator, batches of {TEXTBOOK_BATCH}",
}

RATIOS = (
    ("dense", "textbook", "at least 15x"),
    ("default recipe", "textbook", None),
    ("dense, one channel", PYKEEN, "at least 25x"),
    ("dense", PYKEEN, None),
)
"""Our case, the case to compare with, and the target."""

make_world = make_db15k_like


def measure(threads: int) -> list[Row]:
    """Measures time with any number of threads, memory with one."""
    world = make_world()
    cases = {name: make(world) for name, make in CASES.items()}
    seconds = time_per_item(cases, ROUNDS, threads)
    rows = [
        Row(
            PART,
            f"{ours} against {other}",
            seconds[other] / seconds[ours],
            "x",
            "higher",
            target,
            True,
            "facts ranked in the same time",
        )
        for ours, other, target in RATIOS
    ]
    rows += [
        Row(PART, f"{name}, rate", 1 / seconds[name], "facts/s", "higher", None, False, note)
        for name, note in NOTES.items()
    ]
    return rows + measure_memory(PART, CASES, "works") if threads == 1 else rows
