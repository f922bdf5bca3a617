"""Decided facts outside all splits: the file `decided.parquet` of a graph.

A rejected fact is false: it is not predicted, and thresholds count it as false. An accepted fact
here is true, but in train it would give a fact of valid or test away.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from imf_core.base.artifacts import read_parquet, write_parquet
from imf_core.graph.entities import FINGERPRINT_KEY, require_fingerprint
from imf_core.graph.labels import Facts

ACCEPTED, REJECTED = "accepted", "rejected"
DECIDED = (ACCEPTED, REJECTED)
DECIDED_FILE = "decided.parquet"
_SCHEMA = pa.schema(
    {"head": pa.int64(), "relation": pa.int64(), "tail": pa.int64(), "decision": pa.string()}
)


def save_decided(decided: Mapping[str, Facts], graph_fingerprint: str, folder: Path) -> None:
    """Writes `decided.parquet` into `folder`.

    Args:
        decided: One of `DECIDED` -> facts as ids, shape: (N, 3), dtype: int64.
        graph_fingerprint: Of the graph.
        folder: Where to write.
    """
    facts = np.concatenate([decided[name] for name in DECIDED])
    names = np.repeat(DECIDED, [len(decided[name]) for name in DECIDED])
    table = pa.table([*facts.T, pa.array(names, pa.string())], schema=_SCHEMA)
    write_parquet(folder / DECIDED_FILE, table, {FINGERPRINT_KEY: graph_fingerprint})


def load_decided(folder: Path, graph_fingerprint: str) -> dict[str, Facts]:
    """Reads `decided.parquet`; a packed model of an earlier version has no file and no such facts.

    Raises:
        DataError: If the file is damaged or of another graph.
    """
    path = folder / DECIDED_FILE
    if not path.exists():
        return no_decided()
    require_fingerprint(path, graph_fingerprint)
    table = read_parquet(path, _SCHEMA.names)
    facts = np.stack([table[name].to_numpy() for name in ("head", "relation", "tail")], axis=1)
    decision = np.array(table["decision"].to_pylist(), dtype=object)
    return {name: facts[decision == name] for name in DECIDED}


def no_decided() -> dict[str, Facts]:
    """Returns no facts for each of `DECIDED`."""
    return {name: np.empty((0, 3), dtype=np.int64) for name in DECIDED}
