"""Benchmark cases timed side by side, round after round, and the peak memory of one case.

With one thread, the processor time of this process is measured, which other work on the computer
affects less; with several threads wall-clock time, since waiting threads also spend processor time.
Quote ratios of two medians, not the medians. `python -m benchmarks.case PART CASE` prints the peak
in bytes, read from Linux's `/proc`: the peak of `getrusage` starts at that of the parent process.
`python -m benchmarks.case PART CASE --profile` prints shares of the processor time by operator.
"""

import gc
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import median

from torch.profiler import ProfilerActivity, profile

from benchmarks.accuracy import ROOT
from benchmarks.peers import PYKEEN
from benchmarks.results import Row

Work = Callable[[], object]


def time_side_by_side(works: Mapping[str, Work], rounds: int, threads: int = 1) -> dict[str, float]:
    """Runs each function once per round, after one warm-up round.

    Args:
        works: Functions by name.
        rounds: Number of timed rounds.
        threads: Threads of the functions; decides between processor and wall-clock time.

    Returns:
        Median seconds of each function.
    """
    clock = time.process_time if threads == 1 else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            gc.collect()
            start = clock()
            work()
            if number:
                seconds[name].append(clock() - start)
    return {name: median(each) for name, each in seconds.items()}


@dataclass(frozen=True)
class Case:
    """A function to time and its number of items, for comparison between sizes.

    Attributes:
        work: The function.
        count: Queries or facts per run.
    """

    work: Work
    count: int


def time_per_item(cases: Mapping[str, Case], rounds: int, threads: int) -> dict[str, float]:
    """Times cases side by side.

    Returns:
        Median seconds per query or fact of each case.
    """
    works = {name: each.work for name, each in cases.items()}
    seconds = time_side_by_side(works, rounds, threads)
    return {name: seconds[name] / each.count for name, each in cases.items()}


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
    command = [sys.executable, "-m", "benchmarks.case", part, case]
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


SHOWN = 12
"""Number of operators listed."""


def print_profile(work: Work) -> None:
    """Prints shares of the processor time by torch operator, of one run after a warm-up run."""
    work()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        work()
    events = sorted(profiled.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    print("| operator | share of the time |\n|---|---|")
    for event in events[:SHOWN]:
        print(f"| `{event.key}` | {100 * event.self_cpu_time_total / total:.1f} % |")


def main() -> None:
    """Runs the case and prints its peak or its profile."""
    part, case, *options = sys.argv[1:]
    module = import_module(f"benchmarks.parts.{part}")
    world = module.make_world()
    if options == ["--profile"]:
        print_profile(module.CASES[case](world).work)
        return
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
