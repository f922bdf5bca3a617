"""What became of the pictures: which entities have one, and which sources failed."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from imf_core.artifacts import read_parquet
from imf_core.data.issues import MAX_EXAMPLES, DataIssue, data_issue
from imf_core.features.shards import MANIFEST, SOURCES

NO_FAILURES = frozenset({"ok", "duplicate", "surplus"})
"""A picture that another source gave as well, or one beyond those wanted, is no failure."""

REPORTS_OF_FILES = frozenset({"missing_images", "outside_images"})
"""Issues of `download`: files of the index that it has not copied."""

NOT_COPIED = frozenset({"missing", "refused"})
"""Statuses of a file that `download` has not copied; a refused URL has a time of its outcome."""


def entities_with_picture(folder: Path) -> list[int]:
    """Lists the entities that have a picture, without reading one.

    Args:
        folder: `data/images`.
    """
    table = read_parquet(folder / MANIFEST, ["entity_id", "num_images"])
    return list(table.filter(pc.greater(table["num_images"], 0))["entity_id"].to_pylist())


def find_failures(folder: Path, names: Sequence[str], reported: Collection[str]) -> list[DataIssue]:
    """Reports the sources that gave no picture: an issue for each status, the most frequent first.

    Args:
        folder: `data/images`.
        names: Of the entities.
        reported: Kinds of the issues of the data. Files of the index that `download` has not
            copied are left out where it has reported them: a file counts once.
    """
    columns = ["entity_id", "source", "status", "reason", "fetched_at"]
    table = read_parquet(folder / SOURCES, columns)
    total = len(table)
    if not REPORTS_OF_FILES.isdisjoint(reported):
        is_file = pc.is_null(table["fetched_at"])
        is_reported = pc.and_(is_file, pc.is_in(table["status"], pa.array(sorted(NOT_COPIED))))
        table = table.filter(pc.invert(is_reported))
    counts = Counter(table["status"].to_pylist())
    issues: list[DataIssue] = []
    for status, count in sorted(counts.items(), key=lambda each: (-each[1], each[0])):
        if status in NO_FAILURES:
            continue
        rows = table.filter(pc.equal(table["status"], status)).slice(0, MAX_EXAMPLES).to_pylist()
        issues += data_issue(
            f"picture_{status}",
            f"of {total} sources of pictures gave none: {status.replace('_', ' ')}; "
            "data/images/sources.parquet has them all",
            (_format_source(row, names) for row in rows),
            count,
        )
    return issues


def _format_source(row: Mapping[str, Any], names: Sequence[str]) -> str:
    reason = f" ({row['reason']})" if row["reason"] else ""
    return f"{names[row['entity_id']]}: {row['source']}{reason}"
