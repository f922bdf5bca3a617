"""Times what a stage does once it is imported.

`python -m benchmarks.stage_work STAGE THREADS` runs it in the working folder and prints the seconds
as the last line, of the processor where one thread is used, else of the clock.
"""

import sys
import time
from importlib import import_module


def main() -> None:
    """Runs the stage in the working folder."""
    stage, threads = sys.argv[1:]
    work = import_module(f"stages.{stage}").main
    clock = time.process_time if threads == "1" else time.perf_counter
    start = clock()
    work()
    print(clock() - start)


if __name__ == "__main__":
    main()
