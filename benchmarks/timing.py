"""Times functions side by side: each in turn, round after round, under the same conditions.

With one thread it measures the processor time of this process, which other work on the computer
affects less. With several threads it measures wall-clock time, since waiting threads also spend
processor time. Quote ratios of two medians, not the medians.
"""

import gc
import time
from collections.abc import Callable, Mapping
from statistics import median

Work = Callable[[], object]


def time_side_by_side(works: Mapping[str, Work], rounds: int, threads: int = 1) -> dict[str, float]:
    """Runs each function once per round, after one warm-up round.

    Args:
        works: Functions by name.
        rounds: Number of timed rounds.
        threads: Threads of the functions; decides between processor and wall-clock time.

    Returns:
        Median seconds of each function.
    """
    clock = time.process_time if threads == 1 else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            gc.collect()
            start = clock()
            work()
            if number:
                seconds[name].append(clock() - start)
    return {name: median(each) for name, each in seconds.items()}
