"""What became of the pictures: which entities have one, and which sources failed."""

from collections import Counter
from pathlib import Path

import pyarrow.compute as pc

from imf_core.artifacts import read_parquet
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


def word_failures(folder: Path) -> list[str]:
    """Says how many sources gave no picture and why, in the words of stage `images`.

    Args:
        folder: `data/images`.

    Returns:
        A sentence, or nothing where none failed.
    """
    counts = Counter(read_parquet(folder / SOURCES, ["status"])["status"].to_pylist())
    failed = sorted(
        (-count, status) for status, count in counts.items() if status not in NO_FAILURES
    )
    if not failed:
        return []
    told = ", ".join(f"{status}: {-minus}" for minus, status in failed)
    return [
        f"{-sum(minus for minus, _ in failed)} of {counts.total()} sources of pictures gave none "
        f"({told}); data/images/sources.parquet says which and why"
    ]
