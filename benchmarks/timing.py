"""Times things side by side: each in turn, round after round, so that all meet the same machine.

What is measured is the processor's time of this process, not the clock: other work on the machine
then counts less. Ratios of two medians are to be quoted, not the medians.
"""

import gc
import time
from collections.abc import Callable, Mapping
from statistics import median

Work = Callable[[], object]


def time_side_by_side(works: Mapping[str, Work], rounds: int) -> dict[str, float]:
    """Runs each work once per round, after one round that does not count.

    Args:
        works: What to run, by name.
        rounds: How often each is timed.

    Returns:
        Median processor-seconds of each.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            gc.collect()
            start = time.process_time()
            work()
            if number:
                seconds[name].append(time.process_time() - start)
    return {name: median(each) for name, each in seconds.items()}
