"""Reads quantities and dates of entities: lines of entity label, attribute and value by tab.

A value is a decimal number, a year or an ISO date; a date becomes a year with a fraction. Values
without a meaning are left out and counted: infinities, year 0 (there is none) and other texts.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from imf_core.base.errors import DataError
from imf_core.base.line_causes import explain_line
from imf_core.graph.issues import DataIssue, IssueTally, data_issue
from imf_core.graph.numbers import Numbers, OddValue, is_date, parse_value
from imf_core.sources.formats import read_lines

LEAST_GROUP = 5
"""Values in each of two groups that may have different units."""
UNIT_RATIO = 10.0
"""Two groups may have different units if their gap is at least this factor, and neither group
spans more."""


def read_number_lines(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yields entity label, attribute and value of each line.

    Raises:
        DataError: If a line has other columns, or the file is not UTF-8.
    """
    for number, line in read_lines(path)[0]:
        fields = [field.strip() for field in line.rstrip("\t").split("\t")]
        if len(fields) != 3 or not all(fields):
            raise DataError(
                f"{path}, line {number}: expected an entity label, an attribute and a value "
                f"separated by tabs, {explain_line(line, ('entity label', 'attribute', 'value'))}"
            )
        yield fields[0], fields[1], fields[2]


def read_numbers(path: Path, labels: Sequence[str]) -> tuple[Numbers, list[DataIssue]]:
    """Reads the numbers of a graph's entities, if there are any.

    Args:
        path: The file; may be missing.
        labels: Labels of the entities in id order.

    Returns:
        The numbers without repeated lines, and the issues.

    Raises:
        DataError: If the file is malformed.
    """
    ids = {label: position for position, label in enumerate(labels)}
    odd = {
        reason: IssueTally(f"{reason}_numbers", text)
        for reason, text in (
            ("infinite", "numbers are infinite or not a number and were left out"),
            ("year_zero", "dates have the year 0, which does not exist, and were left out"),
            ("unreadable", "values are no decimal number, year or ISO date and were left out"),
        )
    }
    unknown = IssueTally("numbers_of_unknown_labels", "numbers are of labels that no fact has")
    rows: dict[tuple[int, str, float], None] = {}
    dated: set[str] = set()
    plain: set[str] = set()
    for label, attribute, text in read_number_lines(path) if path.is_file() else ():
        shown = f"{label} {attribute} {text}"
        if label not in ids:
            unknown.add(shown)
            continue
        value = parse_value(text)
        if isinstance(value, OddValue):
            odd[value.reason].add(shown)
            continue
        rows[ids[label], attribute, value] = None
        if is_date(text):
            dated.add(attribute)
        elif not float(text).is_integer():
            plain.add(attribute)
    numbers = _collect(rows)
    tallies = [unknown, *odd.values()]
    issues = [issue for tally in tallies for issue in tally.issues()]
    return numbers, [*issues, *_mixed_units(numbers, sorted(dated & plain))]


def _collect(rows: Iterable[tuple[int, str, float]]) -> Numbers:
    rows = list(rows)
    attributes = sorted({attribute for _, attribute, _ in rows})
    positions = {attribute: position for position, attribute in enumerate(attributes)}
    return Numbers(
        attributes=attributes,
        entity_ids=np.array([row[0] for row in rows], np.int64),
        attribute_ids=np.array([positions[row[1]] for row in rows], np.int32),
        values=np.array([row[2] for row in rows], np.float64),
    )


def _mixed_units(numbers: Numbers, dated: Sequence[str]) -> list[DataIssue]:
    """Reports attributes with dates and fractions, or with two groups of values far apart."""
    order = np.lexsort((numbers.values, numbers.attribute_ids))
    bounds = np.searchsorted(
        numbers.attribute_ids[order], np.arange(len(numbers.attributes) + 1), side="left"
    )
    cases = [f"{attribute}: dates and other numbers" for attribute in dated]
    for attribute, label in enumerate(numbers.attributes):
        values = numbers.values[order][bounds[attribute] : bounds[attribute + 1]]
        if (gap := _find_gap(values)) is not None:
            cases.append(f"{label}: {gap} values to {values[gap - 1]:g}, then from {values[gap]:g}")
    return data_issue(
        "mixed_units",
        "attributes may mix units: their values form two groups far apart, or dates and others",
        cases,
    )


def _find_gap(values: np.ndarray) -> int | None:
    """Returns the index after the gap between two groups of sorted values, None without one."""
    if len(values) < 2 * LEAST_GROUP or values[0] <= 0:
        return None
    logs = np.log10(values)
    inner = np.diff(logs)[LEAST_GROUP - 1 : len(logs) - LEAST_GROUP]
    after = int(inner.argmax()) + LEAST_GROUP
    spans = logs[after - 1] - logs[0], logs[-1] - logs[after]
    is_gap = inner.max() >= math.log10(UNIT_RATIO) >= max(spans)
    return after if is_gap else None
