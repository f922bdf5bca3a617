"""The measurements of a data set row by row: means and deviations over the seeds."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from imf_core.errors import DataError
from recipes.rows import ROWS, Row
from recipes.store import Measurement

Read = Callable[[Measurement], float]


@dataclass(frozen=True)
class Summary:
    """A row of the table and what was measured of it.

    Attributes:
        row: What it is.
        measurements: One for each seed, in their order; at least one.
    """

    row: Row
    measurements: Sequence[Measurement]

    def per_cent(self, read: Read) -> str:
        """Words mean and, of several seeds, standard deviation of a fraction."""
        values = [100 * read(each) for each in self.measurements]
        mean = f"{statistics.fmean(values):.1f}"
        return f"{mean} ± {statistics.stdev(values):.1f}" if len(values) > 1 else mean

    def mean(self, read: Read) -> float:
        """Returns the mean over the seeds."""
        return statistics.fmean(map(read, self.measurements))

    @property
    def first(self) -> Measurement:
        """The measurement of the lowest seed."""
        return self.measurements[0]


def read_metric(*keys: str) -> Read:
    """Returns what reads a metric of test by its keys: `("mrr",)`, `("head", "mrr")`."""

    def read(measurement: Measurement) -> float:
        value: Any = measurement.test
        for key in keys:
            value = value[key]
        return float(value)

    return read


def summarise(measurements: Sequence[Measurement]) -> dict[str, Summary]:
    """Returns the rows that there are measurements of, by name, in the order of `ROWS`.

    Args:
        measurements: Of one data set.

    Raises:
        DataError: If they are not of one graph.
    """
    if len({each.graph for each in measurements}) > 1:
        places = sorted({f"{each.row}-seed{each.seed}" for each in measurements})
        raise DataError(
            f"recipes/results/{measurements[0].dataset}: {', '.join(places)} were not measured on "
            "the same facts; measure those of the old ones anew"
        )
    found = {row.name: [each for each in measurements if each.row == row.name] for row in ROWS}
    return {row.name: Summary(row, found[row.name]) for row in ROWS if found[row.name]}
