"""MRR of the main rows by train facts and media of the query's entity."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from imf_core.errors import DataError
from measuring.markdown import make_table
from recipes.store import Measurement
from recipes.summary import Summary

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
