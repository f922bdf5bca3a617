"""Measures: `python -m benchmarks [PART ...]`, every part by default.

Each part runs in a process of its own, with one thread and then with one for each core. The figures
go into `benchmarks/results.json`, where those of parts that did not run stay as they were, and a
table is printed. `python -m benchmarks.table` then writes the tables of README and docs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.recipes import ROOT
from benchmarks.results import RESULTS, Results, load_results, save_results
from benchmarks.table import render_full
from measuring.environment import count_cores

PARTS = tuple(
    sorted(
        path.stem for path in (Path(__file__).parent / "parts").glob("*.py") if path.stem[0] != "_"
    )
)
THREADS_OF = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Environment variables that say how many threads a process may use."""

KEPT_FOLDERS = ("PYSTOW_HOME", "DVC_SITE_CACHE_DIR")
"""Environment variables that say where PyKEEN and DVC keep files of their own."""


def measure(part: str, threads: int) -> Results:
    """Runs a part in a process of its own and returns its figures.

    Raises:
        subprocess.CalledProcessError: If the part failed; it has said why.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            **dict.fromkeys(THREADS_OF, str(threads)),
            **{name: str(Path(folder) / name.lower()) for name in KEPT_FOLDERS},
        }
        output = Path(folder) / "results.json"
        command = [sys.executable, "-m", "benchmarks.part", part, "--output", str(output)]
        subprocess.run(command, check=True, cwd=ROOT, env=environment)
        return load_results(output)


def main() -> None:
    """Measures the parts asked for; a part that fails leaves its last figures as they were."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if sys.platform != "linux":
        parser.error("peak memory is read from /proc, so benchmarks run on Linux alone")
    unknown = sorted(set(arguments.parts) - set(PARTS))
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
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
