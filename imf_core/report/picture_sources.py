"""What became of the pictures: which entities have one, and which sources failed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from imf_core.artifacts import read_parquet
from imf_core.data.issues import MAX_EXAMPLES, DataIssue, data_issue
from imf_core.features.shards import MANIFEST, SOURCES

NO_FAILURES = frozenset({"ok", "duplicate", "surplus"})
"""A picture that another source gave as well, or one beyond those wanted, is no failure."""


def entities_with_picture(folder: Path) -> list[int]:
    """Lists the entities that have a picture, without reading one.

    Args:
        folder: `data/images`.
    """
    table = read_parquet(folder / MANIFEST, ["entity_id", "num_images"])
    return list(table.filter(pc.greater(table["num_images"], 0))["entity_id"].to_pylist())


def find_failures(folder: Path, names: Sequence[str]) -> list[DataIssue]:
    """Reports the sources that gave no picture: an issue for each status, the most frequent first.

    Args:
        folder: `data/images`.
        names: Of the entities.
    """
    table = read_parquet(folder / SOURCES, ["entity_id", "source", "status", "reason"])
    counts = Counter(table["status"].to_pylist())
    issues: list[DataIssue] = []
    for status, count in sorted(counts.items(), key=lambda each: (-each[1], each[0])):
        if status in NO_FAILURES:
            continue
        rows = table.filter(pc.equal(table["status"], status)).slice(0, MAX_EXAMPLES).to_pylist()
        issues += data_issue(
            f"picture_{status}",
            f"of {counts.total()} sources of pictures gave none: {status.replace('_', ' ')}; "
            "data/images/sources.parquet has them all",
            (_word_source(row, names) for row in rows),
            count,
        )
    return issues


def _word_source(row: Mapping[str, Any], names: Sequence[str]) -> str:
    reason = f" ({row['reason']})" if row["reason"] else ""
    return f"{names[row['entity_id']]}: {row['source']}{reason}"
