"""Lower bound of a training step of the dense model: its necessary matrix products alone.

Everything else of a step (dropout, losses, optimisers, averages) comes on top. Shared products
count once: one matrix per distinct relation of the batch, one fusion of all entities.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.timing import Work
from imf_core.config import SettledParams


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
