"""The grouped losses against dense ones that autograd differentiates."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from imf_core.model import kernels, loss_kernels
from imf_core.model.loss_kernels import (
    Positives,
    grouped_binary_cross_entropy,
    grouped_cross_entropy,
)
from imf_core.training.objective import info_nce, relation_cross_entropy

OWN_COLUMNS = torch.tensor([6, 0, 6, 3, 1])
"""Position of each query's own entity among the candidates."""

SMOOTHING = 0.1
SIZES = torch.tensor([2, 1, 3, 1, 4])
NUM_CANDIDATES = 7

Loss = Callable[[Tensor, Tensor], Tensor]


@pytest.fixture
def target() -> Tensor:
    """Mask of the positives of each row, shape: (B, C), dtype: bool.

    The own entities of the rows 1 and 4 are positives.
    """
    generator = torch.Generator().manual_seed(0)
    chosen = torch.zeros(len(SIZES), NUM_CANDIDATES, dtype=torch.bool)
    for row, size in enumerate(SIZES.tolist()):
        chosen[row, torch.randperm(NUM_CANDIDATES, generator=generator)[:size]] = True
    return chosen


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor]:
    """Context vectors (B, D) and candidates (C, D)."""
    generator = torch.Generator().manual_seed(1)
    left = torch.randn(len(SIZES), 4, generator=generator, requires_grad=True)
    right = torch.randn(NUM_CANDIDATES, 4, generator=generator, requires_grad=True)
    return left, right


@pytest.fixture
def own_can_answer(target: Tensor) -> Tensor:
    """Whether a row's own entity is a possible answer, as the positives are, shape: (B,)."""
    is_positive = target[torch.arange(len(SIZES)), OWN_COLUMNS]
    assert 0 < is_positive.sum() < len(SIZES)
    return is_positive


def grouped(
    name: str,
    target: Tensor,
    dtype: torch.dtype = torch.float32,
    own_can_answer: Tensor | None = None,
) -> Loss:
    """The loss under test; positives in reverse order, which must not matter."""
    sizes = target.sum(dim=1)
    positives = Positives(
        offsets=torch.cat([torch.zeros(1, dtype=torch.long), sizes.cumsum(0)]),
        rows=torch.repeat_interleave(torch.arange(len(target)), sizes),
        columns=torch.cat([row.nonzero().flatten().flip(0) for row in target]),
        counts=sizes.float(),
        own_columns=OWN_COLUMNS,
        own_can_answer=torch.ones(len(target), dtype=torch.bool)
        if own_can_answer is None
        else own_can_answer,
    )
    if name == "cross-entropy":
        return lambda left, right: grouped_cross_entropy(left, right, positives, dtype)
    smoothing = SMOOTHING if name == "smoothed" else 0.0
    return lambda left, right: grouped_binary_cross_entropy(
        left, right, positives, dtype, smoothing
    )


def dense(name: str, target: Tensor, own_can_answer: Tensor | None = None) -> Loss:
    """The same loss by its formula."""
    left_out = torch.zeros_like(target)
    if own_can_answer is not None:
        left_out[torch.arange(len(target)), OWN_COLUMNS] = ~own_can_answer

    def cross_entropy(left: Tensor, right: Tensor) -> Tensor:
        logits = (left @ right.T).masked_fill(left_out, -torch.inf)
        return -logits.log_softmax(dim=1)[target].sum()

    def binary(left: Tensor, right: Tensor) -> Tensor:
        labels = target.float()
        if name == "smoothed":
            labels = (1 - SMOOTHING) * labels + 1 / NUM_CANDIDATES
        logits = left @ right.T
        return F.binary_cross_entropy_with_logits(logits, labels, reduction="sum")

    return cross_entropy if name == "cross-entropy" else binary


def value_and_gradients(loss: Loss, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    value = loss(*inputs)
    # A factor shows that the gradient from above is passed on.
    return value.detach(), *torch.autograd.grad(3.0 * value, inputs)


@pytest.mark.parametrize("name", ["cross-entropy", "binary", "smoothed"])
def test_a_grouped_loss_and_its_gradients_equal_the_dense_ones(
    name: str, target: Tensor, inputs: tuple[Tensor, Tensor]
) -> None:
    found = value_and_gradients(grouped(name, target), inputs)
    expected = value_and_gradients(dense(name, target), inputs)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("rows_at_once", [2, 5])
def test_a_softmax_without_own_entities_equals_the_dense_one(
    rows_at_once: int,
    target: Tensor,
    own_can_answer: Tensor,
    inputs: tuple[Tensor, Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loss_kernels, "LOGIT_TILE_ELEMENTS", rows_at_once * NUM_CANDIDATES)
    loss = grouped("cross-entropy", target, own_can_answer=own_can_answer)
    found = value_and_gradients(loss, inputs)
    expected = value_and_gradients(dense("cross-entropy", target, own_can_answer), inputs)
    torch.testing.assert_close(found, expected)
    everything = value_and_gradients(grouped("cross-entropy", target), inputs)
    assert not torch.allclose(found[0], everything[0])


@pytest.mark.parametrize("name", ["binary", "smoothed"])
def test_a_binary_loss_takes_own_entities_as_any_others(
    name: str, target: Tensor, own_can_answer: Tensor, inputs: tuple[Tensor, Tensor]
) -> None:
    without = grouped(name, target, own_can_answer=own_can_answer)
    found = value_and_gradients(without, inputs)
    torch.testing.assert_close(found, value_and_gradients(dense(name, target), inputs))


def test_a_softmax_without_own_entities_is_finite_in_bfloat16_and_with_large_logits(
    target: Tensor, own_can_answer: Tensor, inputs: tuple[Tensor, Tensor]
) -> None:
    loss = grouped("cross-entropy", target, torch.bfloat16, own_can_answer)
    exact = value_and_gradients(dense("cross-entropy", target, own_can_answer), inputs)
    torch.testing.assert_close(value_and_gradients(loss, inputs), exact, atol=0.1, rtol=0.05)
    large = tuple((1e3 * each).detach().requires_grad_() for each in inputs)
    assert all(each.isfinite().all() for each in value_and_gradients(loss, large))


@pytest.mark.parametrize("name", ["cross-entropy", "smoothed"])
@pytest.mark.parametrize("limit", ["MAX_CHUNK_ELEMENTS", "LOGIT_TILE_ELEMENTS"])
@pytest.mark.parametrize("rows_at_once", [1, 2, 4])
def test_a_loss_in_parts_equals_the_loss_in_one_piece(
    name: str,
    limit: str,
    rows_at_once: int,
    target: Tensor,
    inputs: tuple[Tensor, Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = value_and_gradients(grouped(name, target), inputs)
    monkeypatch.setattr(loss_kernels, limit, rows_at_once * NUM_CANDIDATES)
    torch.testing.assert_close(value_and_gradients(grouped(name, target), inputs), whole)


@pytest.mark.parametrize("name", ["cross-entropy", "smoothed"])
def test_gradients_equal_finite_differences(
    name: str, target: Tensor, inputs: tuple[Tensor, Tensor]
) -> None:
    loss = grouped(name, target)
    _, *gradients = value_and_gradients(loss, inputs)
    step = 1e-2
    for which, position in ((0, (2, 1)), (0, (4, 3)), (1, (0, 0)), (1, (6, 2))):
        moved = [each.detach().clone() for each in inputs]
        moved[which][position] += step
        above = loss(*moved)
        moved[which][position] -= 2 * step
        slope = 3.0 * (above - loss(*moved)) / (2 * step)
        assert slope.item() == pytest.approx(gradients[which][position].item(), abs=5e-3)


@pytest.mark.parametrize("name", ["cross-entropy", "smoothed"])
def test_matrix_products_in_bfloat16_change_the_loss_a_little(
    name: str, target: Tensor, inputs: tuple[Tensor, Tensor]
) -> None:
    exact = value_and_gradients(grouped(name, target), inputs)
    rough = value_and_gradients(grouped(name, target, torch.bfloat16), inputs)
    assert [each.dtype for each in rough] == [torch.float32] * 3
    torch.testing.assert_close(rough, exact, atol=0.1, rtol=0.05)


def test_large_logits_give_a_finite_cross_entropy(target: Tensor) -> None:
    left, right = torch.full((len(SIZES), 4), 1e3), torch.eye(NUM_CANDIDATES, 4) * 1e3
    loss = grouped("cross-entropy", target)(left, right)
    assert torch.isfinite(loss)


def test_the_contrastive_loss_is_symmetric(inputs: tuple[Tensor, Tensor]) -> None:
    left, right = inputs[0], inputs[1][: len(SIZES)]
    torch.testing.assert_close(info_nce(left, right, 0.1), info_nce(right, left, 0.1))


def test_the_contrastive_loss_of_known_vectors() -> None:
    # Cosines are 1 with the own entity and 0 with the other one.
    expected = torch.tensor(1 / 0.5).exp()
    expected = -(expected / (expected + 1)).log()
    views = torch.tensor([[3.0, 0.0], [0.0, 2.0]])
    torch.testing.assert_close(info_nce(views, views, 0.5), expected)


def test_the_contrastive_loss_does_not_depend_on_lengths(inputs: tuple[Tensor, Tensor]) -> None:
    left, right = inputs[0], inputs[1][: len(SIZES)]
    torch.testing.assert_close(info_nce(left, right, 0.1), info_nce(5 * left, 0.2 * right, 0.1))


@pytest.mark.parametrize("entities", [0, 1])
def test_the_contrastive_loss_of_fewer_than_two_entities_is_zero(entities: int) -> None:
    assert info_nce(torch.ones(entities, 3), torch.ones(entities, 3), 0.1).item() == 0.0


def test_the_loss_of_predicting_relations_equals_a_loop_over_pairs() -> None:
    generator = torch.Generator().manual_seed(3)
    pairs, table = (torch.randn(rows, 4, generator=generator) for rows in (5, 6))
    relations = torch.tensor([0, 5, 2, 2, 1])
    naive = sum(
        torch.logsumexp(table @ pair, dim=0) - table[relation] @ pair
        for pair, relation in zip(pairs, relations, strict=True)
    )
    torch.testing.assert_close(relation_cross_entropy(pairs, table, relations, 5), naive / 5)


def test_losses_of_predicting_relations_in_two_processes_add_up() -> None:
    generator = torch.Generator().manual_seed(3)
    pairs, table = (torch.randn(rows, 4, generator=generator) for rows in (5, 6))
    relations = torch.tensor([0, 5, 2, 2, 1])
    shares = [
        relation_cross_entropy(pairs[part], table, relations[part], 5)
        for part in (slice(0, 2), slice(2, 5))
    ]
    whole = relation_cross_entropy(pairs, table, relations, 5)
    torch.testing.assert_close(shares[0] + shares[1], whole)


def test_relations_are_predicted_in_chunks_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(3)
    inputs = tuple(torch.randn(rows, 4, generator=generator, requires_grad=True) for rows in (5, 6))
    relations = torch.tensor([0, 5, 2, 2, 1])

    def loss(pairs: Tensor, table: Tensor) -> Tensor:
        return relation_cross_entropy(pairs, table, relations, 5)

    whole = value_and_gradients(loss, inputs)
    monkeypatch.setattr(kernels, "MAX_CHUNK_ELEMENTS", 12)
    torch.testing.assert_close(value_and_gradients(loss, inputs), whole)


@pytest.mark.parametrize("name", ["cross-entropy", "smoothed"])
def test_gradients_of_bfloat16_inputs_are_summed_in_float32(
    name: str,
    target: Tensor,
    inputs: tuple[Tensor, Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    halves = tuple(each.detach().bfloat16().requires_grad_() for each in inputs)
    whole = value_and_gradients(grouped(name, target), halves)
    monkeypatch.setattr(loss_kernels, "MAX_CHUNK_ELEMENTS", NUM_CANDIDATES)
    in_chunks = value_and_gradients(grouped(name, target), halves)
    # Half precision rounds the finished sum alone: at most the last of its eight bits differs.
    torch.testing.assert_close(in_chunks[1:], whole[1:], rtol=2**-7, atol=1e-6)
