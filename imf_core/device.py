"""Where tensors live: the one place that turns a device name into a device."""

import torch

from imf_core.errors import ConfigError


def resolve_device(name: str, key: str) -> torch.device:
    """Returns the device a parameter asks for.

    Args:
        name: `auto` (CUDA where there is one, else the CPU), `cpu` or `cuda`.
        key: The parameter's dotted name, for the error.

    Raises:
        ConfigError: If `cuda` is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"params.yaml: {key} is cuda, but no CUDA device was found; set it to auto or cpu"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
