"""The work of each of the two processes in `test_two_processes`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from tiny_world import (
    COUNTRIES,
    LOOPED,
    looped_graph,
    small_params,
    tiny_graph,
    tiny_model,
    tiny_tables,
)

from imf_core.base.device import ALONE, Processes
from imf_core.evaluation.ranking import RankTable, rank_triples
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import known_tails_in
from imf_core.model import scorer
from imf_core.model.imf import IMF
from imf_core.model.saved import build_model
from imf_core.training.checkpoint import Checkpoints
from imf_core.training.trainer import Record, Trainer

NOISY = {"model.dropout": 0.3, "model.head_dropout": 0.2, "fusion.dropout": 0.2}
TRAINED: dict[str, dict[str, object]] = {
    "plain": {},
    "dropout": NOISY,
    "binary loss": {**NOISY, "train.loss": "binary-cross-entropy"},
    "sampled candidates": {**NOISY, "train.sampled_candidates": 4, "train.batch_size": 4},
    "contrastive": {**NOISY, "fusion.contrastive_weight": 1.0},
    "a dense context": {**NOISY, "model.context": "dense"},
    "relations predicted": {**NOISY, "train.relation_weight": 0.5},
    "one row a step": {**NOISY, "train.batch_size": 1, "train.epochs": 1},
}
"""Trainings by two processes and by one, by name."""

BLOCKS = {"one for each": 12, "unequal ones": 8, "one for both": 100}
"""Entities in a block, of 22."""


GRAPHS: dict[str, Callable[[], Graph]] = {
    "no loop in train": tiny_graph,
    "a loop in train": looped_graph,
}


class KilledError(Exception):
    pass


def train(
    overrides: dict[str, object],
    processes: Processes = ALONE,
    checkpoints: Checkpoints | None = None,
    on_validation: Callable[[Record], None] = lambda _: None,
) -> tuple[list[float], list[Record], IMF]:
    """Returns losses, history and the model."""
    params = small_params(overrides)
    torch.manual_seed(params.train.seed)
    graph = tiny_graph()
    model = build_model(graph, tiny_tables(), params.model, params.fusion)
    trainer = Trainer(model, graph, params, checkpoints, processes)
    progress = trainer.fit(on_validation)
    return progress.losses, progress.history, trainer.step.model


def rank(block: int, graph: Graph, processes: Processes = ALONE) -> RankTable:
    """Ranks test and two loops with a random model and small blocks of entities."""
    loops = torch.tensor([[each, LOOPED, each] for each in (COUNTRIES[1], COUNTRIES[-1])])
    test = torch.cat([graph.triples["test"], loops])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scorer, "ENTITIES_PER_BLOCK", block)
        known = known_tails_in(graph)
        found = scorer.Scorer(tiny_model(graph=graph), processes)
        return rank_triples(found, test, known, graph.num_relations, batch_size=4)


def kill_at_second(record: Record) -> None:
    """Dies at a validation, like a process killed after its save."""
    if record["epoch"] == 2:
        raise KilledError


def work(rank_here: int, folder: Path) -> None:
    """Joins the other process and writes its results as `<rank>.pt`."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank_here, world_size=2
    )
    processes = Processes(rank_here, 2)
    found: dict[str, Any] = {"ranks": {}, "trained": {}}
    for name, block in BLOCKS.items():
        for kind, make_graph in GRAPHS.items():
            found["ranks"][name, kind] = vars(rank(block, make_graph(), processes))
    for name, overrides in TRAINED.items():
        losses, history, model = train(overrides, processes)
        found["trained"][name] = (losses, history, model.state_dict())
    checkpoints = Checkpoints(folder / "of one", "key")
    found["resumed"] = train(NOISY, processes, checkpoints)[:2]
    torch.save(found, folder / f"{rank_here}.pt")
    dist.destroy_process_group()
