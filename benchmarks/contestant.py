"""A benchmark case, timed side by side with others."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.timing import Work, time_side_by_side


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
