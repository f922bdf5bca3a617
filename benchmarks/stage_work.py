"""Times a stage without its imports: `python -m benchmarks.stage_work STAGE THREADS`.

Runs the stage in the working folder and prints the seconds as the last line: processor time for one
thread, else wall-clock time.
"""

import sys
import time
from importlib import import_module


def main() -> None:
    """Runs the stage and prints its seconds."""
    stage, threads = sys.argv[1:]
    work = import_module(f"stages.{stage}").main
    clock = time.process_time if threads == "1" else time.perf_counter
    start = clock()
    work()
    print(clock() - start)


if __name__ == "__main__":
    main()
