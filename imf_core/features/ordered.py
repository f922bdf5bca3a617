"""Computes results in threads, in the order of the inputs, with bounded look-ahead."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")


def map_in_order(
    function: Callable[[InputT], OutputT], inputs: Iterable[InputT], workers: int
) -> Iterator[OutputT]:
    """Yields `function(x)` for each x in order, computed by threads.

    `ThreadPoolExecutor.map` would submit every input at once and keep all unread results; here at
    most `4 * workers` are under way.

    Args:
        function: Function that mostly runs outside the interpreter lock (decoding, network).
        inputs: Inputs, read lazily.
        workers: Number of threads.

    Raises:
        Exception: The first error of `function`, in input order.
    """
    pending: deque[Future[OutputT]] = deque()
    with ThreadPoolExecutor(workers) as executor:
        try:
            for item in inputs:
                pending.append(executor.submit(function, item))
                if len(pending) >= 4 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            executor.shutdown(wait=True, cancel_futures=True)
