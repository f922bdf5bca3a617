"""Evaluation: ranking held-out facts, in both directions, against textbook and PyKEEN.

On a graph of DB15K's shape. This library ranks the whole of test, so that what it does once and
what it saves on repeated queries count; the others treat each batch alike and rank a few.
"""

from collections.abc import Callable, Mapping

from benchmarks.contestant import Case, time_per_item
from benchmarks.graphs import World, make_db15k_like
from benchmarks.memory import measure_memory
from benchmarks.pykeen_tucker import PYKEEN
from benchmarks.rankings import (
    TEXTBOOK_BATCH,
    make_our_ranking,
    make_pykeen_ranking,
    make_textbook_ranking,
)
from benchmarks.recipes import DENSE, ONE_HEAD
from benchmarks.row import Row

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
