"""Times the flow `pipeline` without changes: `python -m benchmarks.idle_flow RUNS`.

Runs in the working folder with its own Prefect server; prints the median wall-clock seconds of the
runs as the last line. Processor time would miss the other processes, which do most of the work.
"""

import sys
import time
from statistics import median

from prefect.testing.utilities import prefect_test_harness

from flows.pipeline import pipeline


def main() -> None:
    """Runs the flow once without timing, then the given number of times."""
    seconds = []
    with prefect_test_harness(server_startup_timeout=120):
        for number in range(int(sys.argv[1]) + 1):
            start = time.perf_counter()
            pipeline()
            if number:
                seconds.append(time.perf_counter() - start)
    print(median(seconds))


if __name__ == "__main__":
    main()
