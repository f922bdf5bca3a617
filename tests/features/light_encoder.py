"""An encoder without a model for Ray workers in tests, fast to import."""

from collections.abc import Callable, Sequence

import numpy as np

from imf_core.base.errors import DataError


def read(number: int) -> list[int]:
    return [number]


def read_damaged() -> list[int]:
    raise DataError("shard-00000.parquet cannot be read")


def load() -> Callable[[Sequence[int]], np.ndarray]:
    def encode(items: Sequence[int]) -> np.ndarray:
        return np.array([items], np.float32)

    return encode


def load_full() -> Callable[[Sequence[int]], np.ndarray]:
    def encode(items: Sequence[int]) -> np.ndarray:
        raise MemoryError("no room for the batch")

    return encode
