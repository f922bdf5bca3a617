"""Runs one part in this process: `python -m benchmarks.part NAME --output FILE`."""

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.results import Results, Run, save_results
from recipes.environment import count_cores, describe_environment


def run_part(name: str) -> Run:
    """Measures a part with OMP_NUM_THREADS threads, by default one per core.

    Args:
        name: A module of `benchmarks.parts`.
    """
    threads = int(os.environ.get("OMP_NUM_THREADS", count_cores()))
    rows = import_module(f"benchmarks.parts.{name}").measure(threads)
    return Run(name, threads, describe_environment(), tuple(rows))


def main() -> None:
    """Measures the part and writes its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        run = run_part(arguments.name)
    except ModuleNotFoundError as error:
        if str(error.name).startswith(("benchmarks", "imf_core")):
            raise
        sys.exit(f"{error}; install the benchmark group: python -m pip install --group benchmark")
    results = Results()
    results.add(run)
    save_results(results, arguments.output)


if __name__ == "__main__":
    main()
