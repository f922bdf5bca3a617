"""Times the flow `pipeline` where nothing has changed: `python -m benchmarks.idle_flow RUNS`.

Runs in the working folder, against a Prefect server of its own; prints the median of the runs'
seconds as the last line. The clock decides, since most of the work is that of other processes.
"""

import sys
import time
from statistics import median

from prefect.testing.utilities import prefect_test_harness

from flows.pipeline import pipeline


def main() -> None:
    """Runs the flow once unmeasured, then so many times."""
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
