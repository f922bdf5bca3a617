"""Profiles a case: `python -m benchmarks.profile PART CASE`.

Prints shares of the processor time by torch operator, for one run after a warm-up run.
"""

import sys
from importlib import import_module

from torch.profiler import ProfilerActivity, profile

SHOWN = 12
"""Number of operators listed."""


def main() -> None:
    """Profiles and prints a table."""
    if len(sys.argv) != 3:
        sys.exit('usage: python -m benchmarks.profile PART CASE, such as training "dense"')
    part, case = sys.argv[1:]
    module = import_module(f"benchmarks.parts.{part}")
    work = module.CASES[case](module.make_world()).work
    work()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        work()
    events = sorted(profiled.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    print("| operator | share of the time |\n|---|---|")
    for event in events[:SHOWN]:
        print(f"| `{event.key}` | {100 * event.self_cpu_time_total / total:.1f} % |")


if __name__ == "__main__":
    main()
