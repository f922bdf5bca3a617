"""Times things side by side: each in turn, round after round, so that all meet the same machine.

With one thread what is measured is the processor's time of this process, not the clock: other work
on the machine then counts less. With several threads it is the clock, since a thread that waits
for another spends the processor's time as well. Ratios of two medians are to be quoted, not the
medians.
"""

import gc
import time
from collections.abc import Callable, Mapping
from statistics import median

Work = Callable[[], object]


def time_side_by_side(works: Mapping[str, Work], rounds: int, threads: int = 1) -> dict[str, float]:
    """Runs each work once per round, after one round that does not count.

    Args:
        works: What to run, by name.
        rounds: How often each is timed.
        threads: Threads that the works may use; decides between processor's time and the clock.

    Returns:
        Median seconds of each.
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
