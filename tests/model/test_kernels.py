"""The fast operations against their plain forms, and dropout."""

import pytest
import torch
from torch import Tensor

from imf_core.model import kernels
from imf_core.model.kernels import Dropout, in_chunks, multiply_groups, sum_of_products


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7)).requires_grad_()


def assert_equal_with_gradients(found: Tensor, expected: Tensor, inputs: list[Tensor]) -> None:
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(each.square().sum(), inputs) for each in (found, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("sizes", [[5], [1, 1, 2, 3], [1, 2, 2, 9, 17]])
def test_products_of_groups_equal_one_product_per_group(sizes: list[int]) -> None:
    rows, matrices = draw(sum(sizes), 4), draw(len(sizes), 4, 4)
    groups = rows.split(sizes)
    products = [group @ matrix for group, matrix in zip(groups, matrices, strict=True)]
    expected = torch.cat([rows[:0], *products])
    found = multiply_groups(rows, matrices, torch.tensor(sizes, dtype=torch.long))
    assert_equal_with_gradients(found, expected, [rows, matrices])


@pytest.mark.parametrize("num_modalities", [1, 2, 3])
@pytest.mark.parametrize("tile_elements", [12, 1 << 16])
def test_a_sum_of_products_equals_its_plain_form(
    num_modalities: int, tile_elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "FACTOR_TILE_ELEMENTS", tile_elements)
    generator = torch.Generator().manual_seed(3)
    present = torch.randint(2, (6, num_modalities), generator=generator).float()
    counts = torch.randint(2, (6, 4), generator=generator).float()
    factors = list(draw(num_modalities, 6, 12).unbind())
    kept = [
        torch.where(here[:, None], each, 1.0)
        for here, each in zip(present.T > 0, factors, strict=True)
    ]
    terms = torch.stack(kept).prod(dim=0).view(*counts.shape, -1)
    expected = (terms * counts.unsqueeze(2)).sum(dim=1)
    assert_equal_with_gradients(sum_of_products(present, counts, factors), expected, factors)


@pytest.mark.parametrize("chunk_elements", [4, 10, 1 << 20])
def test_chunks_give_the_rows_of_the_whole(
    chunk_elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "MAX_CHUNK_ELEMENTS", chunk_elements)
    rows, matrix = draw(7, 4), draw(4, 3)
    found = torch.cat(list(in_chunks(lambda some: (some @ matrix).tanh(), [rows], 4)))
    assert_equal_with_gradients(found, (rows @ matrix).tanh(), [rows, matrix])


MANY = torch.ones(1000, 101)


def dropped(p: float, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return Dropout(p)(MANY)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_about_a_share_of_p_is_dropped(p: float) -> None:
    assert (dropped(p) == 0).float().mean().item() == pytest.approx(p, abs=0.01)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_kept_elements_are_scaled_to_keep_the_mean(p: float) -> None:
    values = dropped(p)
    assert values.unique().tolist() == pytest.approx([0.0, 1 / (1 - p)], rel=1e-3)
    assert values.mean().item() == pytest.approx(1.0, abs=0.05)


def test_columns_are_dropped_independently_of_one_another() -> None:
    is_dropped = (dropped(0.5) == 0).float()
    correlation = torch.corrcoef(is_dropped.T) - torch.eye(MANY.shape[1])
    assert correlation.abs().max() < 0.2


def test_the_gradient_passes_where_the_value_did() -> None:
    torch.manual_seed(0)
    values = MANY.clone().requires_grad_()
    result = Dropout(0.3)(values)
    result.sum().backward()
    assert torch.equal(values.grad, result.detach())


def test_a_seed_gives_the_same_mask_and_another_seed_another() -> None:
    assert torch.equal(dropped(0.5), dropped(0.5))
    assert not torch.equal(dropped(0.5), dropped(0.5, seed=1))


def test_double_precision_stays_double() -> None:
    assert Dropout(0.5)(MANY.double()).dtype == torch.float64


@pytest.mark.parametrize("module", [Dropout(0.5).eval(), Dropout(0.0)])
def test_nothing_is_dropped_in_evaluation_or_at_zero(module: Dropout) -> None:
    assert module(MANY) is MANY


def test_another_device_draws_for_itself() -> None:
    assert Dropout(0.5)(torch.ones(3, 4, device="meta")).shape == (3, 4)
