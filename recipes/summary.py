"""Summarises the measurements of each row: means and deviations over the seeds."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imf_core.errors import DataError
from recipes.rows import ROWS, Row
from recipes.store import Measurement

Read = Callable[[Measurement], float]


@dataclass(frozen=True)
class Summary:
    """A row of the table with its measurements.

    Attributes:
        row: The row.
        measurements: One per seed, sorted by seed; at least one.
    """

    row: Row
    measurements: Sequence[Measurement]

    def per_cent(self, read: Read) -> str:
        """Formats mean and, for several seeds, standard deviation of a fraction."""
        values = [100 * read(each) for each in self.measurements]
        mean = f"{statistics.fmean(values):.1f}"
        return f"{mean} ± {statistics.stdev(values):.1f}" if len(values) > 1 else mean

    def mean(self, read: Read) -> float:
        """Returns the mean over the seeds."""
        return statistics.fmean(map(read, self.measurements))

    @property
    def seeds(self) -> list[int]:
        """The measured seeds, sorted."""
        return [each.seed for each in self.measurements]

    @property
    def commits(self) -> list[str]:
        """The measured commits, in alphabetical order."""
        return sorted({each.environment["commit"] for each in self.measurements})

    @property
    def first(self) -> Measurement:
        """The measurement of the lowest seed."""
        return self.measurements[0]


def read_metric(*keys: str) -> Read:
    """Returns a function that reads a metric of test by its keys: `("mrr",)`, `("head", "mrr")`."""

    def read(measurement: Measurement) -> float:
        value: Any = measurement.test
        for key in keys:
            value = value[key]
        return float(value)

    return read


def summarise(measurements: Sequence[Measurement]) -> dict[str, Summary]:
    """Returns the measured rows by name, in the order of `ROWS`.

    Args:
        measurements: Measurements of one data set.

    Raises:
        DataError: If facts or features differ between rows, or values between the seeds of a row.
    """
    _require_one("on the same facts", {_place(each): each.basis.graph for each in measurements})
    for modality in ("image", "text"):
        digests = {
            _place(each): each.basis.features[modality]
            for each in measurements
            if modality in each.basis.features
        }
        _require_one(f"with the same {modality} features", digests)
    found = {row.name: [each for each in measurements if each.row == row.name] for row in ROWS}
    for seeds in found.values():
        _require_one("with the same values", {_place(each): _values(each) for each in seeds})
    return {row.name: Summary(row, found[row.name]) for row in ROWS if found[row.name]}


def _place(measurement: Measurement) -> str:
    return f"{measurement.dataset}/{measurement.row}-seed{measurement.seed}"


def _values(measurement: Measurement) -> dict[str, Any]:
    """Returns the parameters of a measurement except its seed."""
    return {
        f"{section}.{key}": value
        for section, keys in measurement.basis.params.items()
        for key, value in keys.items()
        if (section, key) != ("train", "seed")
    }


def _require_one(words: str, found: Mapping[str, Any]) -> None:
    """Raises DataError if values differ between measurements."""
    values = list(found.values())
    if any(value != values[0] for value in values):
        raise DataError(
            f"recipes/results: {', '.join(sorted(found))} were not measured {words}; measure "
            "those that are out of date again, or delete their files"
        )
