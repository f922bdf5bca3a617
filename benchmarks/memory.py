"""Peak memory of one case, alone in a process of its own.

`python -m benchmarks.memory PART CASE` prints the bytes. Memory is read as Linux tells it in
`/proc`: the peak of `getrusage` is of no use, since a process starts with that of its parent.
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
"""How often the work is done: optimisers make their state in the first step."""


def measure_peak_bytes(part: str, case: str) -> int:
    """Measures a case in a process of its own.

    Args:
        part: A module of `benchmarks.parts` with `make_world()` and `CASES`.
        case: A key of `CASES`.

    Returns:
        Peak of the resident memory beyond what imports and inputs (graph and features) take: the
        model, its optimisers' state and what the work needs.
    """
    command = [sys.executable, "-m", "benchmarks.memory", part, case]
    printed = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return int(printed.stdout.split()[-1])


def measure_memory(part: str, cases: Iterable[str], unit_of_work: str) -> list[Row]:
    """Returns a row for the peak of each case of a part.

    Args:
        part: As `measure_peak_bytes`.
        cases: Their names.
        unit_of_work: What is done `RUNS` times, for the note.
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
    """Makes the peak start from what is held now."""
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
    if case == PYKEEN:  # imported where it is used: not what the contest is about
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
