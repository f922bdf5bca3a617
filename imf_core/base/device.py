"""Devices, and processes that share the work of one step or ranking."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from imf_core.base.errors import ConfigError, LostProcessError, OutOfMemoryError

LEAST_BUFFER_ROWS = 1 << 12
"""First size of the buffers of `concatenate_rows`."""


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


SMALL = 1 << 20
"""Numbers in a tensor below which one thread is faster than several, which each operation wakes."""


@contextmanager
def fitting_threads(numbers: int) -> Iterator[None]:
    """Computes on one thread inside, if the tensors of a CPU are small.

    Args:
        numbers: Numbers in the largest tensors of most operations.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if numbers < SMALL else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copies a CPU tensor to a device without waiting for it."""
    source = tensor.pin_memory() if device.type == "cuda" else tensor
    return source.to(device, non_blocking=True)


def concatenate_rows(parts: Iterable[Sequence[Tensor]]) -> list[Tensor]:
    """Concatenates tensors of the same columns as they come; at least one part.

    Rows are copied into buffers that double in size. Kept parts would split the heap between the
    large temporary tensors of a loop, and their memory could not be reused.

    Args:
        parts: For each part the tensors of all columns, shape: (N, ...), N of the part.

    Returns:
        For each column, shape: (sum of N, ...).
    """
    buffers: list[Tensor] = []
    filled = 0
    for part in parts:
        needed = filled + len(part[0])
        if not buffers or needed > len(buffers[0]):
            size = max(LEAST_BUFFER_ROWS, 2 * needed)
            grown = [values.new_empty((size, *values.shape[1:])) for values in part]
            for old, new in zip(buffers, grown, strict=False):
                new[:filled] = old[:filled]
            buffers = grown
        for buffer, values in zip(buffers, part, strict=True):
            buffer[filled:needed] = values
        filled = needed
    return [buffer[:filled].clone() for buffer in buffers]


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


T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """The processes of one computation, as seen by one of them.

    Attributes:
        rank: Number of this process, from 0.
        count: Number of processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and prints for all."""
        return self.rank == 0

    def shard(self, total: int) -> range:
        """Returns this process's part of `range(total)`; all parts have about the same size."""
        return range(total * self.rank // self.count, total * (self.rank + 1) // self.count)

    def all_reduce(self, values: Iterable[Tensor]) -> None:
        """Replaces tensors by their sums over all processes.

        Args:
            values: Contiguous tensors, changed in place, with the same shapes in every process.

        Raises:
            LostProcessError: If another process has ended.
        """
        if self.count == 1:
            return
        with _explain_loss():
            for work in [dist.all_reduce(value, async_op=True) for value in values]:
                work.wait()

    def broadcast(self, value: T) -> T:
        """Returns the first process's plain `value` in every process.

        Raises:
            LostProcessError: If another process has ended.
        """
        if self.count == 1:
            return value
        values = [value]
        with _explain_loss():
            dist.broadcast_object_list(values, src=0)
        return values[0]

    def barrier(self) -> None:
        """Waits until all processes reach this call.

        Raises:
            LostProcessError: If another process has ended.
        """
        self.all_reduce([torch.zeros(())])


ALONE = Processes()
"""A single process."""


@dataclass(frozen=True)
class Shard:
    """A range of rows of tables that are distributed over several processes.

    Attributes:
        processes: The processes that hold the tables.
        rows: Rows held by this process.
        total_rows: Number of rows of all processes together.
    """

    processes: Processes
    rows: range
    total_rows: int

    def find(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Finds the rows held by this process.

        Args:
            rows: shape: (N,), dtype: long.

        Returns:
            Position in `rows` and index in the shard of each held row, shapes: (K,), (K,), dtype:
            long.
        """
        is_held = (rows >= self.rows.start) & (rows < self.rows.stop)
        position = is_held.nonzero().flatten()
        return position, rows[position] - self.rows.start

    def take(self, tables: Sequence[Tensor], rows: Tensor) -> list[Tensor]:
        """Returns rows of distributed tables, in every process.

        Args:
            tables: This process's shards, shape: (len(self.rows), D).
            rows: shape: (N,), dtype: long, on the CPU.

        Raises:
            LostProcessError: If another process has ended.
        """
        device = tables[0].device
        if self.processes.count == 1:
            everything = to_device(rows, device)
            return [table.index_select(0, everything) for table in tables]
        position, held = (to_device(each, device) for each in self.find(rows))
        taken = [table.new_zeros(len(rows), table.shape[1]) for table in tables]
        for values, table in zip(taken, tables, strict=True):
            values.index_copy_(0, position, table.index_select(0, held))
        self.processes.all_reduce(taken)
        return taken


def unsharded(num_rows: int) -> Shard:
    """Returns the shard of a single process, with all rows."""
    return Shard(ALONE, range(num_rows), num_rows)


@contextmanager
def _explain_loss() -> Iterator[None]:
    """Turns a lost connection into a LostProcessError."""
    try:
        yield
    except RuntimeError as error:
        is_connection = isinstance(error, dist.DistNetworkError) or "gloo" in str(error).lower()
        if not is_connection:
            raise  # an error of this process, or of the GPUs
        raise LostProcessError(
            f"another process of this stage has ended ({error}); see its own message above, if "
            "there is one; run the stage again, it resumes from its last checkpoint"
        ) from error
