"""Processes that share a piece of work: which of them this one is, and what they tell each other.

One process alone is the plain case: it has everything and asks nobody. Whoever starts several
joins them by `torch.distributed` first; all of them then make the same calls in the same order.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from imf_core.device import to_device
from imf_core.errors import LostProcessError

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """All processes at one piece of work, seen from one of them.

    Attributes:
        rank: This one's number, from 0.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and speaks for all."""
        return self.rank == 0

    def shard(self, total: int) -> range:
        """Returns which of `total` things this process takes; all shares are about of one size."""
        return range(total * self.rank // self.count, total * (self.rank + 1) // self.count)

    def all_reduce(self, values: Iterable[Tensor]) -> None:
        """Replaces values by their sums over all processes, the same in each.

        Args:
            values: Contiguous tensors, changed in place; of the same shapes in every process.

        Raises:
            LostProcessError: If another process has ended.
        """
        if self.count == 1:
            return
        with _explain_loss():
            for work in [dist.all_reduce(value, async_op=True) for value in values]:
                work.wait()

    def broadcast(self, word: T) -> T:
        """Returns the first process's `word`, a plain value, in every process.

        Raises:
            LostProcessError: If another process has ended.
        """
        if self.count == 1:
            return word
        words = [word]
        with _explain_loss():
            dist.broadcast_object_list(words, src=0)
        return words[0]

    def barrier(self) -> None:
        """Waits until all processes have come here.

        Raises:
            LostProcessError: If another process has ended.
        """
        self.all_reduce([torch.zeros(())])


ALONE = Processes()
"""One process that does all the work."""


@dataclass(frozen=True)
class Shard:
    """Neighbouring rows of tables that are spread over several processes.

    Attributes:
        processes: Which hold the tables together.
        rows: Those that this process holds.
        num_rows: Of all processes.
    """

    processes: Processes
    rows: range
    num_rows: int

    def find(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Finds those of some rows that this process holds.

        Args:
            rows: shape: (N,), dtype: long.

        Returns:
            Position in `rows`, and which of the held ones it is, shapes: (K,), (K,), dtype: long.
        """
        is_held = (rows >= self.rows.start) & (rows < self.rows.stop)
        position = is_held.nonzero().flatten()
        return position, rows[position] - self.rows.start

    def take(self, tables: Sequence[Tensor], rows: Tensor) -> list[Tensor]:
        """Returns rows of whole tables: each process adds those that it holds to zeros.

        Args:
            tables: The rows held of each, shape: (len(self.rows), D).
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
    """Returns the shard of a process that holds everything."""
    return Shard(ALONE, range(num_rows), num_rows)


@contextmanager
def _explain_loss() -> Iterator[None]:
    """Turns the failure of a connection into an error that says what it means."""
    try:
        yield
    except RuntimeError as error:
        is_connection = isinstance(error, dist.DistNetworkError) or "gloo" in str(error).lower()
        if not is_connection:
            raise  # a fault of this process, or of the GPUs
        raise LostProcessError(
            f"another process of this stage has ended ({error}); its own message, if it had time "
            "for one, stands above; run the stage again, it goes on from its last checkpoint"
        ) from error
