"""The same seed gives the same weights at sizes where a CPU works in parallel."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from imf_core.model.encoders import BlockDiagonalContext, DenseContext


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Sums in parallel, as on a user's machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("context", [BlockDiagonalContext(), DenseContext(8, 256)])
def test_repeated_relations_add_up_in_the_same_order_every_time(
    two_threads: None, context: BlockDiagonalContext | DenseContext
) -> None:
    torch.manual_seed(0)
    heads = torch.randn(1024, 256)
    relations = torch.randint(3, (1024,))
    width = 8 if isinstance(context, DenseContext) else 256
    table = torch.randn(6, width, requires_grad=True)
    outer = torch.randn(1024, 256)

    def gradient() -> Tensor:
        (result,) = torch.autograd.grad((context(heads, table, relations) * outer).sum(), table)
        return result

    first = gradient()
    assert all(torch.equal(first, gradient()) for _ in range(10))


def test_repeated_entities_add_up_in_the_same_order_every_time(two_threads: None) -> None:
    torch.manual_seed(0)
    vectors = torch.randn(50, 256, requires_grad=True)
    rows = torch.randint(50, (1024,))
    outer = torch.randn(1024, 256)

    def gradient() -> Tensor:
        entities = vectors.index_select(0, rows)
        (result,) = torch.autograd.grad((entities * outer).sum(), vectors)
        return result

    first = gradient()
    assert all(torch.equal(first, gradient()) for _ in range(10))
