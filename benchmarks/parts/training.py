"""Training: a step of each model against textbook, bare matrix products and PyKEEN's TuckER.

On a graph of DB15K's shape; and what a high `fusion.rank` costs, on one of the shape of `atlas`.
"""

from collections.abc import Callable, Mapping

import torch

from benchmarks.accuracy import (
    DENSE,
    DENSE_256,
    DENSE_SMALL,
    LARGE,
    LARGE_SAMPLED,
    ONE_HEAD,
    read_params,
)
from benchmarks.case import Case, measure_memory, time_per_item
from benchmarks.floor import (
    PYKEEN_BATCH,
    TEXTBOOK_BATCH,
    Asked,
    Product,
    count_flops,
    iterate_batches,
    list_products,
    make_our_steps,
    make_pykeen_step,
    make_textbook_step,
    run_products,
)
from benchmarks.graphs import World, make_atlas_like, make_db15k_like
from benchmarks.peers import PYKEEN
from benchmarks.results import Row
from imf_core.model.saved import build_model

PART = "training"
ROUNDS = 3

CASES: Mapping[str, Callable[[World], Case]] = {
    "dense": lambda world: make_our_steps(world, DENSE, 1),
    "dense, batches of 256": lambda world: make_our_steps(world, DENSE_256, 2),
    "dense, one channel": lambda world: make_our_steps(world, ONE_HEAD, 1),
    "dense, relations 64": lambda world: make_our_steps(world, DENSE_SMALL, 1),
    "recipe of larger graphs, all scored": lambda world: make_our_steps(world, LARGE, 1),
    "recipe of larger graphs": lambda world: make_our_steps(world, LARGE_SAMPLED, 4),
    "textbook": make_textbook_step,
    PYKEEN: make_pykeen_step,
}
"""Training steps by name in the table."""

DEFAULT = "params.yaml (block-diagonal, D 128, cross entropy)"

NOTES = {
    "dense": "four channels, D 256, batches of 1,024, binary cross entropy",
    "dense, batches of 256": "the same with the textbook's batches",
    "dense, one channel": "structure only: the model that TuckER is",
    "dense, relations 64": "the four-channel model with model.relation_dim at 64",
    "recipe of larger graphs, all scored": f"{DEFAULT}, batches of 1,024",
    "recipe of larger graphs": f"{DEFAULT}, batches of 1,024, 2,000 sampled",
    "textbook": f"the dense four-channel model, batches of {TEXTBOOK_BATCH}",
    PYKEEN: f"one channel, D 256, KvsAll, batches of {PYKEEN_BATCH}",
}

make_world = make_db15k_like


def measure(threads: int) -> list[Row]:
    """Measures time with any number of threads, memory with one."""
    rows = _measure_steps(threads) + _measure_rank(threads)
    return rows + measure_memory(PART, CASES, "steps") if threads == 1 else rows


def _measure_steps(threads: int) -> list[Row]:
    world = make_world()
    cases = {name: make(world) for name, make in CASES.items()}
    products = _products(world)
    floor = Case(run_products(products), read_params(DENSE).train.batch_size)
    seconds = time_per_item({**cases, "floor": floor}, ROUNDS, threads)
    flops = count_flops(products)
    rate = sum(flops.values()) / floor.count / seconds["floor"]
    parts = ", ".join(f"{name} {count / 1e9:.1f}" for name, count in flops.items())
    return [
        _ratio("dense against the textbook", seconds, "textbook", "dense", "at least 8x"),
        _ratio(
            "dense, batches of 256, against the textbook",
            seconds,
            "textbook",
            "dense, batches of 256",
            None,
        ),
        Row(
            PART,
            "dense over its floor",
            seconds["dense"] / seconds["floor"],
            "x",
            "lower",
            "at most 1.3x",
            True,
            f"the floor is the step's matrix products alone; in GFLOP: {parts}",
        ),
        _ratio(
            "dense, relations 64, against the textbook",
            seconds,
            "textbook",
            "dense, relations 64",
            None,
        ),
        _ratio(
            "recipe of larger graphs, all scored, against the textbook",
            seconds,
            "textbook",
            "recipe of larger graphs, all scored",
            None,
        ),
        _ratio(
            "recipe of larger graphs against the textbook",
            seconds,
            "textbook",
            "recipe of larger graphs",
            "at least 30x",
        ),
        _ratio(
            "dense, one channel, against PyKEEN's TuckER",
            seconds,
            PYKEEN,
            "dense, one channel",
            None,
        ),
        _ratio("dense, four channels, against PyKEEN's one", seconds, PYKEEN, "dense", None),
        Row(PART, "rate of the floor's products", rate / 1e9, "GFLOP/s", "none", None, False),
        *(
            Row(PART, f"{name}, a query", 1e3 * seconds[name], "ms", "lower", None, False, note)
            for name, note in NOTES.items()
        ),
    ]


def _ratio(
    name: str, seconds: Mapping[str, float], other: str, ours: str, target: str | None
) -> Row:
    """Returns the time per query of another case over that of ours."""
    value = seconds[other] / seconds[ours]
    note = f"time per query; {NOTES[other]}, against {NOTES[ours]}"
    return Row(PART, name, value, "x", "higher", target, True, note)


def _products(world: World) -> list[Product]:
    """Lists the products of the dense model's step on its first batch."""
    params = read_params(DENSE)
    batch = next(iterate_batches(world, params))
    model = build_model(world.graph, world.tables, params.model, params.fusion)
    asked = []
    queries = torch.stack([batch.heads, batch.relations], dim=1)
    for takes_part in model.takes_part(queries).unbind(dim=1):
        relations = batch.relations[takes_part]
        asked.append(Asked(len(relations), len(relations.unique())))
    sizes = {
        name: (int(table.is_present.sum()), table.vectors.shape[1])
        for name, table in world.tables.items()
    }
    graph = world.graph
    return list_products(params, graph.num_entities, graph.num_relations, sizes, asked)


def _measure_rank(threads: int) -> list[Row]:
    """Compares the steps of a high and a low rank of the fusion, all else as in `params.yaml`."""
    world = make_atlas_like()
    cases = {str(rank): make_our_steps(world, {"fusion.rank": rank}, 10) for rank in (2, 64)}
    seconds = time_per_item(cases, ROUNDS, threads)
    return [
        Row(
            PART,
            "fusion.rank 64 over 2",
            seconds["64"] / seconds["2"],
            "x",
            "lower",
            "at most 3x",
            True,
            "a step of params.yaml on a graph of the shape of atlas",
        )
    ]
