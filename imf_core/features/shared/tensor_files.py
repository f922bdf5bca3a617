"""Arrays of a fitted encoder as a safetensors file."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from imf_core.base.artifacts import write_bytes
from imf_core.base.errors import DataError


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays by name; equal arrays give equal bytes."""
    write_bytes(path, save({name: np.ascontiguousarray(each) for name, each in arrays.items()}))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads a file of `write_arrays`.

    Raises:
        DataError: If the file is missing or damaged.
    """
    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); pack the model again with `imf export --model`"
        ) from error
