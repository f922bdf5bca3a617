"""Something that is measured beside others."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.timing import Work, time_side_by_side


@dataclass(frozen=True)
class Case:
    """A work and how much it does, so that works of different sizes can be compared.

    Attributes:
        work: What to run.
        count: Queries or facts that a run of it deals with.
    """

    work: Work
    count: int


def time_per_item(cases: Mapping[str, Case], rounds: int, threads: int) -> dict[str, float]:
    """Times cases side by side.

    Returns:
        Median seconds of each per query or fact.
    """
    works = {name: each.work for name, each in cases.items()}
    seconds = time_side_by_side(works, rounds, threads)
    return {name: seconds[name] / each.count for name, each in cases.items()}
