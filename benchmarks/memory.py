"""Measures the peak memory of one case in its own process.

`python -m benchmarks.memory PART CASE` prints the bytes. The peak is read from Linux's `/proc`,
since the peak of `getrusage` starts at that of the parent process.
"""

import subprocess
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from benchmarks.pykeen_tucker import PYKEEN
from benchmarks.recipes import ROOT
from benchmarks.row import Row

RUNS = 2
"""Runs of the work; optimisers allocate their state in the first step."""


def measure_peak_bytes(part: str, case: str) -> int:
    """Measures a case in its own process.

    Args:
        part: A module of `benchmarks.parts` with `make_world()` and `CASES`.
        case: A key of `CASES`.

    Returns:
        Peak resident memory beyond imports and inputs (graph and features): the model, its
        optimisers' state and the work.
    """
    command = [sys.executable, "-m", "benchmarks.memory", part, case]
    printed = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return int(printed.stdout.split()[-1])


def measure_memory(part: str, cases: Iterable[str], unit_of_work: str) -> list[Row]:
    """Returns one row per case with its peak memory.

    Args:
        part: As in `measure_peak_bytes`.
        cases: Names of the cases.
        unit_of_work: Plural noun for the `RUNS` runs, for the note.
    """
    note = f"peak of {RUNS} {unit_of_work}, alone in a process, beyond imports, graph and features"
    return [
        Row(
            part,
            f"{name}, memory",
            measure_peak_bytes(part, name) / 2**30,
            "GiB",
            "lower",
            None,
            False,
            note,
        )
        for name in cases
    ]


def reset_peak() -> None:
    """Resets the peak to the current resident memory."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_bytes() -> int:
    """Returns the largest resident memory of this process since `reset_peak`."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kibibytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kibibytes) * 1024


def main() -> None:
    """Runs the case and prints its peak."""
    part, case = sys.argv[1:]
    module = import_module(f"benchmarks.parts.{part}")
    world = module.make_world()
    if case == PYKEEN:  # imported beforehand, so that its memory does not count
        import_module("pykeen.training")
        import_module("pykeen.evaluation")
        import_module("pykeen.models")
    reset_peak()
    before = peak_bytes()
    work = module.CASES[case](world).work
    for _ in range(RUNS):
        work()
    print(peak_bytes() - before)


if __name__ == "__main__":
    main()
