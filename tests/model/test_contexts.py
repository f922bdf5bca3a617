"""The two forms of the relation's context."""

import pytest
import torch
from torch import Tensor, nn

from imf_core.model.encoders import BlockDiagonalContext, DenseContext

DIM, RELATION_DIM = 6, 3


@pytest.fixture
def heads() -> Tensor:
    return torch.randn(7, DIM, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def relations() -> Tensor:
    return torch.tensor([3, 0, 3, 1, 0, 3, 1])


def table(dim: int) -> Tensor:
    return torch.randn(4, dim, generator=torch.Generator().manual_seed(1))


def test_block_diagonal_contexts_multiply_complex_numbers(heads: Tensor, relations: Tensor) -> None:
    context = BlockDiagonalContext()(heads, table(DIM), relations)
    left = torch.complex(*heads.chunk(2, dim=1))
    right = torch.complex(*table(DIM)[relations].chunk(2, dim=1))
    product = left * right
    torch.testing.assert_close(context, torch.cat([product.real, product.imag], dim=1))


def test_a_block_diagonal_score_is_that_of_complex(heads: Tensor, relations: Tensor) -> None:
    tails = heads.flip(0)
    score = (BlockDiagonalContext()(heads, table(DIM), relations) * tails).sum(dim=1)
    head, relation, tail = (
        torch.complex(*each.chunk(2, dim=1)) for each in (heads, table(DIM)[relations], tails)
    )
    torch.testing.assert_close(score, (head * relation * tail.conj()).sum(dim=1).real)


def test_dense_contexts_equal_the_tensor_product(heads: Tensor, relations: Tensor) -> None:
    context = DenseContext(RELATION_DIM, DIM)
    core = context.core.view(RELATION_DIM, DIM, DIM)
    relation = table(RELATION_DIM)[relations]
    expected = torch.einsum("br,bd,rde->be", relation, heads, core)
    torch.testing.assert_close(context(heads, table(RELATION_DIM), relations), expected)


@pytest.mark.parametrize("context", [BlockDiagonalContext(), DenseContext(DIM, DIM)])
def test_the_order_of_the_batch_is_kept(
    context: nn.Module, heads: Tensor, relations: Tensor
) -> None:
    whole = context(heads, table(DIM), relations)
    for row in range(len(heads)):
        alone = context(heads[row : row + 1], table(DIM), relations[row : row + 1])
        torch.testing.assert_close(whole[row : row + 1], alone)


def test_gradients_of_the_dense_context_equal_those_of_the_tensor_product(
    heads: Tensor, relations: Tensor
) -> None:
    context = DenseContext(RELATION_DIM, DIM)
    relation_table = table(RELATION_DIM).requires_grad_()
    wanted = (context.core, relation_table)
    found = torch.autograd.grad(context(heads, relation_table, relations).square().sum(), wanted)
    core = context.core.view(RELATION_DIM, DIM, DIM)
    product = torch.einsum("br,bd,rde->be", relation_table[relations], heads, core)
    expected = torch.autograd.grad(product.square().sum(), wanted)
    torch.testing.assert_close(found, expected)


def test_moduli_of_the_block_diagonal_form_are_complex_ones() -> None:
    factors = torch.tensor([[3.0, 0.0, 4.0, 2.0]])
    torch.testing.assert_close(BlockDiagonalContext().moduli(factors), torch.tensor([[5.0, 2.0]]))


def test_moduli_of_the_dense_form_are_absolute_values() -> None:
    factors = torch.tensor([[-3.0, 0.5]])
    assert DenseContext(2, 2).moduli(factors).tolist() == [[3.0, 0.5]]


def test_the_modulus_of_zero_has_a_finite_gradient() -> None:
    factors = torch.zeros(1, 4, requires_grad=True)
    BlockDiagonalContext().moduli(factors).pow(3).sum().backward()
    assert torch.isfinite(factors.grad).all()


def test_a_pair_of_head_and_tail_scores_a_relation_as_the_context_scores_the_tail(
    heads: Tensor, relations: Tensor
) -> None:
    context, tails = BlockDiagonalContext(), heads.flip(0)
    score = (context(heads, table(DIM), relations) * tails).sum(dim=1)
    found = (context.pair(heads, tails) * table(DIM)[relations]).sum(dim=1)
    torch.testing.assert_close(found, score)
