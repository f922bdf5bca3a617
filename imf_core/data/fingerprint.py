"""What tells one graph's files from another's: a hash of all labels in order.

It travels in the metadata of every artifact made from a graph. It stands apart from the graph
itself, so that the stages that only check it need not wait for torch's import.
"""

import hashlib
from pathlib import Path

from imf_core.artifacts import read_parquet_metadata
from imf_core.errors import DataError

FINGERPRINT_KEY = "graph_fingerprint"


def labels_fingerprint(entity_labels: list[str], relation_labels: list[str]) -> str:
    """Hashes the labels that give ids their meaning."""
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
