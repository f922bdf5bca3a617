"""Quantities and dates of entities: the values, and the file `numbers.parquet` of a graph."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from imf_core.base.artifacts import read_parquet, write_parquet
from imf_core.graph.entities import FINGERPRINT_KEY, require_fingerprint

NUMBERS_FILE = "numbers.parquet"
SCHEMA = pa.schema(
    {
        "entity_id": pa.int64(),
        "attribute": pa.dictionary(pa.int32(), pa.string()),
        "value": pa.float64(),
    }
)


_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DATE = re.compile(r"([+-]?\d{4,})-(\d\d)(?:-(\d\d))?(?:T[\d:.]+)?(?:Z|[+-]\d\d:\d\d)?", re.ASCII)
_INFINITE = re.compile(r"[+-]?(inf|infinity|nan)", re.IGNORECASE)
DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days of each month, at most."""


@dataclass(frozen=True)
class Numbers:
    """Values of attributes, in line order.

    Attributes:
        attributes: Labels of the attributes, sorted.
        entity_ids: Entity of each value, shape: (N,), dtype: int64.
        attribute_ids: Attribute of each value, shape: (N,), dtype: int32.
        values: Quantities; dates as years with a fraction. Shape: (N,), dtype: float64.
    """

    attributes: list[str]
    entity_ids: NDArray[np.int64]
    attribute_ids: NDArray[np.int32]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class OddValue:
    """A value that is left out.

    Attributes:
        reason: `infinite`, `year_zero` or `unreadable`.
    """

    reason: str


def parse_value(text: str) -> float | OddValue:
    """Reads a number or a date.

    Args:
        text: `1.78`, `-3e5`, `1879`, `1879-03-14`, `-0044-03`, `1879-03-14T11:30:00Z`; month or day
            00 is an unknown one.

    Returns:
        The number; a date as year plus the share of the year before it.
    """
    text = text.strip()
    if date := _DATE.fullmatch(text):
        year, month, day = int(date[1]), int(date[2]), int(date[3] or 0)
        if month > len(DAYS) or day > DAYS[max(month, 1) - 1]:
            return OddValue("unreadable")
        if year == 0:
            return OddValue("year_zero")
        return year + (max(month, 1) - 1) / 12 + (max(day, 1) - 1) / 372
    if _INFINITE.fullmatch(text):
        return OddValue("infinite")
    if not _NUMBER.fullmatch(text):
        return OddValue("unreadable")
    value = float(text)
    return value if math.isfinite(value) else OddValue("infinite")


def is_date(text: str) -> bool:
    """Returns whether a value is written as a date with a month."""
    return _DATE.fullmatch(text.strip()) is not None


def save_numbers(numbers: Numbers, graph_fingerprint: str, folder: Path) -> None:
    """Writes `numbers.parquet` (the columns of `SCHEMA`) into `folder`."""
    attribute = pa.DictionaryArray.from_arrays(
        pa.array(numbers.attribute_ids, pa.int32()), pa.array(numbers.attributes, pa.string())
    )
    columns = {"entity_id": numbers.entity_ids, "attribute": attribute, "value": numbers.values}
    table = pa.table(columns, schema=SCHEMA)
    write_parquet(folder / NUMBERS_FILE, table, {FINGERPRINT_KEY: graph_fingerprint})


def load_numbers(folder: Path, graph_fingerprint: str) -> Numbers:
    """Reads `numbers.parquet`.

    Raises:
        DataError: If the file is missing, damaged or of another graph.
    """
    path = folder / NUMBERS_FILE
    require_fingerprint(path, graph_fingerprint)
    table = read_parquet(path, ["entity_id", "attribute", "value"])
    labels, ids = np.unique(np.array(table["attribute"].to_pylist(), object), return_inverse=True)
    return Numbers(
        attributes=labels.tolist(),
        entity_ids=table["entity_id"].to_numpy(),
        attribute_ids=ids.astype(np.int32),
        values=table["value"].to_numpy(),
    )
