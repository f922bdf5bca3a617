"""Devices: their names, copies to them, and clear errors when memory runs out."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from imf_core.errors import ConfigError, OutOfMemoryError


def resolve_device(name: str, key: str) -> torch.device:
    """Returns the device that a parameter names.

    Args:
        name: `auto` (CUDA where there is one, else the CPU), `cpu` or `cuda`.
        key: The parameter's dotted name, for the error.

    Raises:
        ConfigError: If the name is `cuda` and there is no CUDA device.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"params.yaml: {key} is cuda, but no CUDA device was found; set it to auto or cpu"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copies a CPU tensor to a device without waiting for it."""
    source = tensor.pin_memory() if device.type == "cuda" else tensor
    return source.to(device, non_blocking=True)


@contextmanager
def explain_out_of_memory(remedy: str) -> Iterator[None]:
    """Turns a failed allocation, on a GPU or a CPU, into an error that names a remedy.

    Args:
        remedy: Keys of `params.yaml` to change, and how.

    Raises:
        OutOfMemoryError: If an allocation fails inside.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        is_from_torch = "DefaultCPUAllocator" in str(error)
        if not (is_from_torch or isinstance(error, MemoryError | torch.OutOfMemoryError)):
            raise
        detail = (str(error).strip().splitlines() or ["no further detail"])[0]
        raise OutOfMemoryError(f"out of memory ({detail}); in params.yaml, {remedy}") from error
