"""Figures of the tables: means over seeds, MRR by parts of the test set, published figures."""

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from imf_core.base.errors import DataError
from imf_core.base.sections import Section, validate
from imf_core.base.yaml_text import read_yaml
from recipes.environment import make_table
from recipes.recipe import PUBLISHED
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


LABELS = ("train_facts_of_query_entity", "modality", "entity", "has_it")
"""Columns that identify a row of `by_degree` or `by_media`; the others are figures."""

Label = tuple[str, ...]


def render_breakdowns(shown: Sequence[Summary]) -> list[str]:
    """Returns a table by degree, and one by media if some entities lack a modality.

    Args:
        shown: Rows of the main table; the tables have the same rows.

    Returns:
        Each table below a caption; nothing without rows.
    """
    if not shown:
        return []
    first = shown[0].first
    blocks = [
        "MRR by the number of train facts of the query's entity (in brackets, queries):",
        _breakdown(shown, "by_degree", {_label(row): _name_degree(row) for row in first.by_degree}),
    ]
    if media := _name_media(first.by_media):
        blocks += [
            "MRR where the query's entity, or the answer, has a modality, and where not:",
            _breakdown(shown, "by_media", media),
        ]
    return blocks


def _name_degree(row: Mapping[str, Any]) -> str:
    return f"{row['train_facts_of_query_entity']} ({row['queries']:,})"


def _name_media(rows: Sequence[Mapping[str, Any]]) -> dict[Label, str]:
    """Names the rows of `by_media`, except for a modality that all queries have, or none has."""
    groups = Counter((row["modality"], row["entity"]) for row in rows)
    has = {"yes": "with", "no": "without"}
    return {
        _label(row): f"{row['entity']} {has[row['has_it']]} {row['modality']} ({row['queries']:,})"
        for row in rows
        if groups[row["modality"], row["entity"]] > 1
    }


def _label(row: Mapping[str, Any]) -> Label:
    """Returns the labels that identify a row of any breakdown."""
    return tuple(row[key] for key in LABELS if key in row)


def _breakdown(shown: Sequence[Summary], table: str, titles: Mapping[Label, str]) -> str:
    """Returns a table of MRR: rows of the main table by rows of a breakdown.

    Args:
        shown: Rows of the main table.
        table: The breakdown, a field of `Measurement`.
        titles: Titles of the breakdown's rows, which are the columns here, by label.
    """
    lines = [
        [
            summary.row.title,
            *(summary.per_cent(partial(_read_cell, table, each)) for each in titles),
        ]
        for summary in shown
    ]
    return "\n".join(make_table(["row", *titles.values()], lines))


def _read_cell(table: str, label: Label, measurement: Measurement) -> float:
    """Reads MRR from a row of a breakdown.

    Raises:
        DataError: If the breakdown has no such row.
    """
    for row in getattr(measurement, table):
        if _label(row) == label:
            return float(row["mrr"])
    place = f"{measurement.dataset}/{measurement.row}-seed{measurement.seed}.json"
    raise DataError(
        f"recipes/results/{place}: {table} has no row {' '.join(label)}, unlike the other "
        "results; measure it again"
    )


PerCent = Field(default=None, ge=0, le=100)


class PublishedRow(Section):
    """Published metrics of one model on a data set's test facts, in per cent."""

    model: str
    mrr: float = Field(ge=0, le=100)
    hits_at_1: float | None = PerCent
    hits_at_3: float | None = PerCent
    hits_at_10: float | None = PerCent
    selected: Literal["valid", "test", "last epoch", "unknown"]
    directions: Literal["both", "tails"] = "both"
    language_model: str | None = None
    source: str

    @property
    def title(self) -> str:
        """The model, and the language model that it trains or asks."""
        return f"{self.model} ({self.language_model})" if self.language_model else self.model

    @property
    def selection(self) -> str:
        """The split that selected the reported epoch, or `not stated`."""
        return "not stated" if self.selected == "unknown" else self.selected


class _File(Section):
    """The whole file: rows by data set."""

    rows: dict[str, list[PublishedRow]]


def read_published(path: Path = PUBLISHED) -> dict[str, list[PublishedRow]]:
    """Reads the published rows by data set.

    Raises:
        ConfigError: If the file is invalid.
    """
    return validate(_File, {"rows": read_yaml(path.read_text(encoding="utf-8"))}, str(path)).rows
