"""The fingerprint of a graph: a hash of all labels in order.

It is in the metadata of every artifact made from a graph. This module is separate from `graph`, so
that stages that only check the fingerprint do not import torch.
"""

import hashlib
from pathlib import Path

from imf_core.artifacts import read_parquet_metadata
from imf_core.errors import DataError

FINGERPRINT_KEY = "graph_fingerprint"


def labels_fingerprint(entity_labels: list[str], relation_labels: list[str]) -> str:
    """Hashes the labels of all ids."""
    digest = hashlib.sha256()
    for labels in (entity_labels, relation_labels):
        digest.update(b"%d\n" % len(labels))
        digest.update("".join(f"{label}\n" for label in labels).encode("utf-8"))
    return digest.hexdigest()


def require_fingerprint(path: Path, fingerprint: str) -> None:
    """Checks that a Parquet file was made from the graph with this fingerprint.

    Raises:
        DataError: If it was made from another graph.
    """
    found = read_parquet_metadata(path).get(FINGERPRINT_KEY, "none")
    if found != fingerprint:
        raise DataError(
            f"{path} belongs to another graph (fingerprint {found[:12]}, expected "
            f"{fingerprint[:12]}); run `dvc repro` to make it from this one"
        )
