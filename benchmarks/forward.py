"""The bare forward passes inside a longer work: recorded once, then run alone."""

from collections.abc import Callable
from typing import Any

import torch


def record_inputs(model: torch.nn.Module, work: Callable[[], object]) -> list[dict[str, Any]]:
    """Runs `work` and returns what it called `model` with, call by call, as it lay on the device.

    Args:
        model: Called with keywords alone.
        work: Calls it.
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
    """Calls a model once with each of the recorded inputs, and waits for the device."""
    with torch.inference_mode():
        for each in inputs:
            model(**each)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
