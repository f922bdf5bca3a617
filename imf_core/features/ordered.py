"""Threads whose results come in the order of the inputs, with bounded look-ahead."""

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

    `ThreadPoolExecutor.map` would submit every input at once and keep all results that are not
    yet asked for; here at most `4 * workers` are under way.

    Args:
        function: Should spend its time outside the interpreter lock (decoding, network).
        inputs: Taken lazily.
        workers: Number of threads.

    Raises:
        Exception: Whatever `function` raised first, in input order.
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
