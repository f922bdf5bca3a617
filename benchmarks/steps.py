"""Compared training steps: this library's, the textbook's and PyKEEN's TuckER."""

import warnings
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from benchmarks import textbook
from benchmarks.contestant import Case
from benchmarks.graphs import World
from benchmarks.pykeen_tucker import make_pykeen_facts, make_pykeen_tucker
from benchmarks.recipes import DENSE, read_params
from imf_core.config import SettledParams
from imf_core.data.known_tails import build_known_tails, known_tails_in
from imf_core.inference.saved_model import build_model
from imf_core.training.batches import Batch, build_rows
from imf_core.training.step import TrainingStep

TEXTBOOK_BATCH = 256
"""Queries per step of the textbook, as in the paper's released code."""

PYKEEN_BATCH, PYKEEN_STEPS = 256, 2
"""PyKEEN's default queries per step, and steps per run."""

CPU = torch.device("cpu")


def make_our_steps(world: World, recipe: Mapping[str, object], count: int) -> Case:
    """Prepares steps of this library, each on a new batch.

    Args:
        world: Training data.
        recipe: Values on top of `params.yaml`.
        count: Steps per run.
    """
    params = read_params(recipe)
    torch.manual_seed(0)
    model = build_model(world.graph, world.tables, params.model, params.fusion).train()
    step = TrainingStep(model, params.train, params.fusion, CPU)
    batches = iterate_batches(world, params)
    generator = torch.Generator().manual_seed(0)

    def work() -> None:
        for _ in range(count):
            step(next(batches), generator)

    return Case(work, count * params.train.batch_size)


def iterate_batches(world: World, params: SettledParams) -> Iterator[Batch]:
    """Yields full batches like the trainer's, over endless epochs."""
    is_softmax = params.train.loss == "cross-entropy"
    limit = params.train.positives_per_row if is_softmax else None
    rows = build_rows(known_tails_in(world.graph, ["train"]), limit)
    epoch = 0
    while True:
        for batch in rows.batches(params.train.batch_size, seed=epoch):
            if len(batch.heads) == params.train.batch_size:
                yield batch
        epoch += 1


def make_textbook_step(world: World) -> Case:
    """Prepares a step of the dense model as in a textbook, with a plain Adam."""
    params = read_params({**DENSE, "train.batch_size": TEXTBOOK_BATCH})
    torch.manual_seed(0)
    model = build_model(world.graph, world.tables, params.model, params.fusion).train()
    optimizer = torch.optim.Adam(
        model.parameters(), lr=params.train.network_learning_rate, foreach=False
    )
    batches = iterate_batches(world, params)

    def work() -> None:
        batch = next(batches)
        answers = [tails.tolist() for tails in batch.tails.split(batch.offsets.diff().tolist())]
        labels = textbook.make_labels(answers, world.graph.num_entities)
        queries = torch.stack([batch.heads, batch.relations], dim=1)
        optimizer.zero_grad()
        loss = textbook.loss(model, queries, labels, params.train.label_smoothing)
        torch.autograd.backward(loss)
        optimizer.step()

    return Case(work, TEXTBOOK_BATCH)


def make_pykeen_step(world: World) -> Case:
    """Prepares an epoch of PyKEEN's TuckER, trained KvsAll, on the facts of a few batches.

    Args:
        world: Its train facts; every entity is scored, and no features are used.
    """
    from pykeen.training import LCWATrainingLoop  # noqa: PLC0415  takes seconds and memory

    num_queries = PYKEEN_STEPS * PYKEEN_BATCH
    facts = make_pykeen_facts(world, _facts_of(world, num_queries))
    model = make_pykeen_tucker(facts)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loop = LCWATrainingLoop(
        model=model,
        triples_factory=facts,
        optimizer=optimizer,
        automatic_memory_optimization=False,  # else each call tries out batch sizes as well
    )
    warnings.filterwarnings("ignore", message=".*pin_memory")
    epochs = 0

    def work() -> None:
        nonlocal epochs
        epochs += 1  # PyKEEN continues up to this epoch
        loop.train(
            facts,
            num_epochs=epochs,
            continue_training=epochs > 1,
            batch_size=PYKEEN_BATCH,
            label_smoothing=0.1,
            drop_last=True,
            use_tqdm=False,
        )

    return Case(work, num_queries)


def _facts_of(world: World, num_queries: int) -> Tensor:
    """Returns train facts with at least `num_queries` queries, inverses included, and few more."""
    triples = world.graph.triples["train"]
    num_facts = num_queries // 2
    while True:
        facts = triples[:num_facts]
        sizes = world.graph.num_entities, world.graph.num_relations
        if len(build_known_tails(facts, *sizes).queries) >= num_queries:
            return facts
        num_facts += 1
