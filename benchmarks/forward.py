"""Records the forward passes of a longer work and runs them alone."""

from collections.abc import Callable
from typing import Any

import torch


def record_inputs(model: torch.nn.Module, work: Callable[[], object]) -> list[dict[str, Any]]:
    """Runs `work` and returns the keyword arguments of every call of `model`, on its device.

    Args:
        model: Called with keyword arguments only.
        work: Calls the model.
    """
    inputs: list[dict[str, Any]] = []

    def keep(_module: torch.nn.Module, _args: object, keywords: dict[str, Any]) -> None:
        inputs.append(keywords)

    handle = model.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        work()
    finally:
        handle.remove()
    return inputs


def run_forward(model: torch.nn.Module, inputs: list[dict[str, Any]]) -> None:
    """Calls a model once with each recorded input, and waits for the device."""
    with torch.inference_mode():
        for each in inputs:
            model(**each)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
