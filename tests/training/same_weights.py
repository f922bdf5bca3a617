"""Compares the weights of two models."""

import torch

from imf_core.model.imf import IMF


def _state_of(model: IMF) -> list[torch.Tensor]:
    return list(model.state_dict().values())


def assert_same_weights(one: IMF, other: IMF) -> None:
    torch.testing.assert_close(_state_of(one), _state_of(other), rtol=0, atol=0)
