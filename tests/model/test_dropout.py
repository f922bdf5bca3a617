"""Dropout: dropped elements, the scale of the others, and the random generator."""

import pytest
import torch

from imf_core.model.kernels import Dropout

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
