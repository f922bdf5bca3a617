"""Growth: the default recipe on graphs of ten thousand to a million entities, each in a process.

The graphs come from one generator with five facts for each entity; features are of 64 numbers at
all sizes, so that a query is the same work. Run as a program it measures one size:
`python -m benchmarks.parts.growth ENTITIES THREADS`.
"""

import gc
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from itertools import islice
from statistics import mean
from typing import Literal

import torch

from benchmarks.accuracy import LARGE_SAMPLED, ROOT, read_params
from benchmarks.case import Case, peak_bytes, reset_peak, time_per_item
from benchmarks.floor import iterate_batches, make_our_steps
from benchmarks.graphs import World, make_graph, make_tables
from benchmarks.results import Row
from imf_core.evaluation.ranking import rank_triples
from imf_core.graph.known_tails import known_tails_in
from imf_core.model.saved import build_model
from imf_core.model.scorer import Scorer
from imf_core.training.objective import Planner

PART = "growth"
SIZES = (10_000, 100_000, 1_000_000)
FACTS_PER_ENTITY, NUM_RELATIONS, FEATURE_DIM = 5, 279, 64
STEPS, ROUNDS = 4, 2
RANKED_FACTS = 64
GIB = 2**30


@dataclass(frozen=True)
class Growth:
    """Measurements at one size.

    Attributes:
        query_seconds: Seconds of training per query.
        candidates: Entities scored in a step, on average.
        prepare_seconds: Seconds to encode and fuse all entities, once before a ranking.
        fact_seconds: Seconds to rank a fact in both directions after that.
        training_gib: Peak of the process while it trains, graph and features included.
        ranking_gib: The same while it ranks, without what training held.
    """

    query_seconds: float
    candidates: float
    prepare_seconds: float
    fact_seconds: float
    training_gib: float
    ranking_gib: float


def measure(threads: int) -> list[Row]:
    """Measures every size in a process of its own, the largest last."""
    found = {size: _measure_in_process(size, threads) for size in SIZES}
    rows = [_scaled(found), _scaled_ranking(found)]
    for size, growth in found.items():
        figures: list[tuple[str, float, str, Literal["higher", "lower", "none"], str]] = [
            (
                "training, a query",
                1e3 * growth.query_seconds,
                "ms",
                "lower",
                "four channels, D 128",
            ),
            ("scored in a step", growth.candidates, "entities", "none", "the batch's and 2,000"),
            ("training, memory", growth.training_gib, "GiB", "lower", "the whole process"),
            ("ranking, start", growth.prepare_seconds, "s", "lower", "all entities embedded"),
            ("ranking, rate", 1 / growth.fact_seconds, "facts/s", "higher", "after the start"),
            ("ranking, memory", growth.ranking_gib, "GiB", "lower", "the whole process"),
        ]
        for name, value, unit, better, note in figures:
            is_bounded = unit == "GiB" and size == max(SIZES)
            target = "at most 24 GiB" if is_bounded else None
            title = f"{size:,} entities: {name}"
            rows.append(Row(PART, title, value, unit, better, target, False, note))
    return rows


def _scaled(found: dict[int, Growth]) -> Row:
    """Holds the growth of a query's time against that of the entities scored in a step."""
    first, last = found[min(found)], found[max(found)]
    time, scored = last.query_seconds / first.query_seconds, last.candidates / first.candidates
    return Row(
        PART,
        f"training time of a query, {max(found):,} entities over {min(found):,}",
        time,
        "x",
        "lower",
        f"at most {scored:.2f}x",
        True,
        "the target is the growth of the entities scored in a step",
    )


def _scaled_ranking(found: dict[int, Growth]) -> Row:
    """Compares the growth of ranking time with that of the entities; every entity is scored."""
    time = found[max(found)].fact_seconds / found[min(found)].fact_seconds
    return Row(
        PART,
        f"ranking time of a fact, {max(found):,} entities over {min(found):,}",
        time,
        "x",
        "lower",
        f"at most {max(found) // min(found)}x",
        True,
        "the target is the growth of the entities; all are scored",
    )


def _measure_in_process(size: int, threads: int) -> Growth:
    command = [sys.executable, "-m", "benchmarks.parts.growth", str(size), str(threads)]
    printed = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return Growth(**json.loads(printed.stdout.splitlines()[-1]))


def measure_size(size: int, threads: int) -> Growth:
    """Trains and ranks on a graph of one size.

    Args:
        size: Its entities.
        threads: Threads that may be used.
    """
    graph = make_graph(size, NUM_RELATIONS, FACTS_PER_ENTITY * size, RANKED_FACTS)
    sizes = {"image": (FEATURE_DIM, 0.9), "text": (FEATURE_DIM, 1.0)}
    world = World(graph, make_tables(size, sizes))
    reset_peak()
    query_seconds = _train(world, threads)
    training_gib = peak_bytes() / GIB
    gc.collect()
    reset_peak()
    prepare_seconds, fact_seconds = _rank(world, threads)
    return Growth(
        query_seconds,
        _count_candidates(world),
        prepare_seconds,
        fact_seconds,
        training_gib,
        peak_bytes() / GIB,
    )


def _train(world: World, threads: int) -> float:
    """Returns the seconds of a query; what training held is let go."""
    steps = {"steps": make_our_steps(world, LARGE_SAMPLED, STEPS)}
    return time_per_item(steps, ROUNDS, threads)["steps"]


def _rank(world: World, threads: int) -> tuple[float, float]:
    """Returns the seconds of preparing a ranking, and those of a fact."""
    params = read_params(LARGE_SAMPLED)
    model = build_model(world.graph, world.tables, params.model, params.fusion)
    prepare = {"prepare": Case(lambda: Scorer(model), 1)}
    prepare_seconds = time_per_item(prepare, 1, threads)["prepare"]
    scorer, known = Scorer(model), known_tails_in(world.graph)
    triples = world.graph.triples["test"]

    def rank() -> None:
        batch_size = params.evaluate.batch_size
        rank_triples(scorer, triples, known, world.graph.num_relations, batch_size)

    ranking = {"rank": Case(rank, len(triples))}
    return prepare_seconds, time_per_item(ranking, 1, threads)["rank"]


def _count_candidates(world: World) -> float:
    """Counts the entities that a step scores: the batch's own and a sample, mean of ten batches."""
    params = read_params(LARGE_SAMPLED)
    model = build_model(world.graph, world.tables, params.model, params.fusion)
    planner = Planner(model, params.train.sampled_candidates, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    batches = islice(iterate_batches(world, params), 10)
    return mean(len(planner.plan(batch, generator).entity_ids) for batch in batches)


if __name__ == "__main__":
    print(json.dumps(asdict(measure_size(int(sys.argv[1]), int(sys.argv[2])))))
