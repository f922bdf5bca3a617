"""Runs benchmarks: `python -m benchmarks [PART ...]`, every part by default.

Each part runs in its own process, with one thread, then with one per core. The figures replace
those of the same part in `benchmarks/results.json`, and a table is printed. `python -m
benchmarks.results` then updates the tables of README and docs. `python -m benchmarks gpu` measures
a GPU, by its own options.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from benchmarks import gpu
from benchmarks.accuracy import ROOT
from benchmarks.gpu_bench import PART
from benchmarks.results import RESULTS, Results, Run, load_results, render_full, save_results
from recipes.environment import count_cores, describe_environment

PARTS = tuple(
    sorted(
        path.stem for path in (Path(__file__).parent / "parts").glob("*.py") if path.stem[0] != "_"
    )
)
THREADS_OF = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Environment variables with the number of threads of a process."""

KEPT_FOLDERS = ("PYSTOW_HOME", "DVC_SITE_CACHE_DIR")
"""Environment variables with the folders of PyKEEN's and DVC's own files."""


def measure(part: str, threads: int) -> Results:
    """Runs a part in its own process and returns its figures.

    Raises:
        subprocess.CalledProcessError: If the part fails; its stderr has the reason.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            **dict.fromkeys(THREADS_OF, str(threads)),
            **{name: str(Path(folder) / name.lower()) for name in KEPT_FOLDERS},
        }
        output = Path(folder) / "results.json"
        command = [sys.executable, "-m", "benchmarks", part, "--here", "--output", str(output)]
        subprocess.run(command, check=True, cwd=ROOT, env=environment)
        return load_results(output)


def run_part(name: str) -> Run:
    """Measures a part with OMP_NUM_THREADS threads, by default one per core.

    Args:
        name: A module of `benchmarks.parts`.
    """
    threads = int(os.environ.get("OMP_NUM_THREADS", count_cores()))
    rows = import_module(f"benchmarks.parts.{name}").measure(threads)
    return Run(name, threads, describe_environment(), tuple(rows))


def measure_here(part: str, output: Path) -> None:
    """Measures a part in this process and writes its figures."""
    try:
        run = run_part(part)
    except ModuleNotFoundError as error:
        if str(error.name).startswith(("benchmarks", "imf_core")):
            raise
        sys.exit(f"{error}; install the benchmark group: python -m pip install --group benchmark")
    results = Results()
    results.add(run)
    save_results(results, output)


def main() -> None:
    """Measures the given parts; a part that fails keeps its last figures."""
    if sys.argv[1:2] == [PART]:
        gpu.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--here", action="store_true", help="one part, in this process")
    arguments = parser.parse_args()
    if sys.platform != "linux":
        parser.error("peak memory is read from /proc, so benchmarks run on Linux alone")
    unknown = sorted(set(arguments.parts) - set(PARTS))
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if arguments.here:
        (part,) = arguments.parts
        measure_here(part, arguments.output)
        return
    failed = []
    for part in arguments.parts or PARTS:
        for threads in sorted({1, count_cores()}):
            print(f"{part}, threads: {threads}", file=sys.stderr, flush=True)
            try:
                measured = measure(part, threads)
            except subprocess.CalledProcessError:
                failed.append(f"{part} with {threads} threads")
                continue
            results = load_results(arguments.output)
            for run in measured.runs.values():
                results.add(run)
            save_results(results, arguments.output)
    print(render_full(load_results(arguments.output)))
    if failed:
        sys.exit(f"failed, see above: {', '.join(failed)}")


if __name__ == "__main__":
    main()
