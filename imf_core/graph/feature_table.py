"""The file of one modality's features: a vector and a presence flag for every entity.

Feature stages write it; training, evaluation and prediction read it. The Parquet file has one row
per entity in id order; its metadata names the model and the graph.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from imf_core.base.artifacts import read_parquet, read_parquet_metadata, write_parquet
from imf_core.base.errors import DataError
from imf_core.graph.entities import FINGERPRINT_KEY, require_fingerprint


@dataclass(frozen=True)
class FeatureTable:
    """Frozen encoder features of one modality.

    Attributes:
        vectors: Zeros for a missing modality, shape: (E, F), dtype: float32.
        is_present: Whether the entity has this modality, shape: (E,), dtype: bool.
        provenance: Metadata of the encoder: model, revision, processor, pooling.
    """

    vectors: Tensor
    is_present: Tensor
    provenance: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of vectors and presence: tables with equal digests are interchangeable."""
        digest = hashlib.sha256(str(tuple(self.vectors.shape)).encode())
        digest.update(self.vectors.numpy().tobytes())
        digest.update(self.is_present.numpy().tobytes())
        return digest.hexdigest()


def save_features(features: FeatureTable, graph_fingerprint: str, path: Path) -> None:
    """Writes one row per entity: `entity_id`, `vector` (fixed-size float32 list), `is_present`."""
    num_entities, dim = features.vectors.shape
    flat = pa.array(features.vectors.numpy().astype(np.float32, copy=False).ravel())
    table = pa.table(
        {
            "entity_id": pa.array(np.arange(num_entities), pa.int64()),
            "vector": pa.FixedSizeListArray.from_arrays(flat, dim),
            "is_present": pa.array(features.is_present.numpy(), pa.bool_()),
        }
    )
    metadata = {**features.provenance, "dim": str(dim), FINGERPRINT_KEY: graph_fingerprint}
    write_parquet(path, table, metadata)


def load_features(path: Path, graph_fingerprint: str) -> FeatureTable:
    """Reads a file of `save_features`.

    Raises:
        DataError: If the file is missing, damaged, of another graph, or has a number that is not
            finite.
    """
    table = read_parquet(path, ["entity_id", "vector", "is_present"])
    require_fingerprint(path, graph_fingerprint)
    metadata = read_parquet_metadata(path)
    flat = table["vector"].combine_chunks().values.to_numpy()
    vectors = torch.from_numpy(flat.reshape(len(table), -1).copy())
    if not bool(torch.isfinite(vectors).all()):
        row = int((~torch.isfinite(vectors)).any(dim=1).nonzero()[0])
        raise DataError(f"{path}: the vector of entity {row} is not finite; make the file again")
    keep = {key: value for key, value in metadata.items() if key not in {"dim", FINGERPRINT_KEY}}
    is_present = torch.from_numpy(table["is_present"].to_numpy().copy())
    return FeatureTable(vectors=vectors, is_present=is_present, provenance=keep)
