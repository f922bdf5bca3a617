"""Compared training steps, and the lower bound of a dense step: its matrix products alone.

Everything else of a step (dropout, losses, optimisers, averages) comes on top. Shared products
count once: one matrix per distinct relation of the batch, one fusion of all entities.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks import textbook
from benchmarks.accuracy import DENSE, read_params
from benchmarks.case import Case, Work
from benchmarks.graphs import World
from benchmarks.peers import make_pykeen_facts, make_pykeen_tucker
from imf_core.base.config import SettledParams
from imf_core.graph.known_tails import build_known_tails, known_tails_in
from imf_core.model.saved import build_model
from imf_core.training.batches import Batch, build_rows
from imf_core.training.optimization import TrainingStep

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
    step = TrainingStep(model, params, CPU)
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


@dataclass(frozen=True)
class Product:
    """A product (rows, inner) times (inner, columns), forward and backward.

    Attributes:
        name: Purpose of the product.
        rows: Rows of the left matrix.
        inner: Columns of the left and rows of the right matrix.
        columns: Columns of the right matrix.
        is_left_given: Whether the left matrix is a fixed input, which needs no gradient.
    """

    name: str
    rows: int
    inner: int
    columns: int
    is_left_given: bool = False

    @property
    def flops(self) -> int:
        """Operations of the product and of its gradients, which are as large."""
        passes = 2 if self.is_left_given else 3
        return passes * 2 * self.rows * self.inner * self.columns


@dataclass(frozen=True)
class Asked:
    """Queries and relations of a batch for one channel.

    Attributes:
        queries: Queries that the channel takes part in.
        relations: Distinct relations of these queries.
    """

    queries: int
    relations: int


def list_products(
    params: SettledParams,
    num_entities: int,
    num_relations: int,
    num_present: Mapping[str, tuple[int, int]],
    asked: Sequence[Asked],
) -> list[Product]:
    """Lists the products of one step of a dense model, by the equations in `imf_core.model.imf`.

    Args:
        params: Sections `model` and `fusion` are read.
        num_entities: E; all entities are scored.
        num_relations: R, without inverses.
        num_present: By modality with features: entities that have it, size of a feature vector.
        asked: Queries and relations of each channel.

    Raises:
        ValueError: If the fusion has more than one term per modality; those are not counted.
    """
    dim, relation_dim, hidden = params.model.dim, params.model.relation_dim, params.model.hidden_dim
    products = []
    for present, feature_dim in num_present.values():
        products += [
            Product("encoders", present, feature_dim, dim, is_left_given=True),
            Product("encoders", present, feature_dim, hidden, is_left_given=True),
            Product("encoders", present, hidden, dim),
        ]
    if len(params.model.modalities) > 1:
        rank = params.fusion.rank
        if rank > len(params.model.modalities):
            raise ValueError(
                f"fusion.rank must be at most the number of modalities, got {rank}; the additional "
                "narrow terms are not counted in benchmarks/floor.py"
            )
        for _ in params.model.modalities:
            products += [
                Product("fusion", num_entities, dim, rank * dim),
                Product("fusion", 2 * num_relations, relation_dim, rank * relation_dim),
            ]
    for each in asked:
        products += [
            Product("relation matrices", each.relations, relation_dim, dim * dim),
            Product("their application", each.queries, dim, dim),
            Product("scoring", each.queries, dim, num_entities),
        ]
    return products


def count_flops(products: Iterable[Product]) -> dict[str, int]:
    """Sums the operations of products by purpose."""
    total: dict[str, int] = {}
    for product in products:
        total[product.name] = total.get(product.name, 0) + product.flops
    return total


def run_products(products: Sequence[Product]) -> Work:
    """Returns a function that computes only the products, on random matrices.

    In a step, each relation's matrix multiplies a few queries; here one matrix multiplies all,
    which can only be faster.
    """
    operands = {
        product: (
            torch.randn(product.rows, product.inner),
            torch.randn(product.inner, product.columns),
            torch.randn(product.rows, product.columns),
        )
        for product in dict.fromkeys(products)
    }
    buffer = torch.empty(max(each.numel() for group in operands.values() for each in group))

    def multiply(one: Tensor, other: Tensor) -> None:
        shape = (one.shape[0], other.shape[1])
        torch.mm(one, other, out=buffer[: shape[0] * shape[1]].view(shape))

    def work() -> None:
        for product in products:
            left, right, gradient = operands[product]
            multiply(left, right)
            multiply(left.T, gradient)
            if not product.is_left_given:
                multiply(gradient, right.T)

    return work
