"""Reads ready features instead of running an encoder: a file in, one vector per entity out.

This allows published VGG, CLIP or BERT features of a graph. The file is pinned by its SHA-256 in
params.yaml, which DVC tracks. Several rows of an entity (one per image, for example) are averaged.
Published files mark a missing modality by a row of zeros: such rows are left out and counted.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from imf_core.base.artifacts import file_sha256
from imf_core.base.errors import DataError
from imf_core.base.modality import PrecomputedParams
from imf_core.features.shared.precomputed_rows import Rows, read_rows
from imf_core.graph.entities import read_entity_labels
from imf_core.graph.feature_table import FeatureTable, save_features

EXAMPLES = 3


@dataclass(frozen=True)
class Precomputed:
    """Ready features, and counts of their file.

    Attributes:
        features: A vector and a presence flag for every entity.
        num_rows: Rows of the file.
        zero_rows: Rows of zeros, which mark a missing modality.
        averaged_entities: Entities with several rows.
        unknown_labels: Labels that are not in the graph, in file order.
        labels_by_id: Labels of the graph's entities if the file has ids, else empty.
    """

    features: FeatureTable
    num_rows: int
    zero_rows: int
    averaged_entities: int
    unknown_labels: list[str]
    labels_by_id: list[str]


def write_precomputed_features(
    section: str, entities_path: Path, params: PrecomputedParams, output: Path
) -> Precomputed:
    """Checks a file of ready features and saves them as the features of a graph.

    Args:
        section: The section of `params.yaml` that names the file.
        entities_path: `entities.parquet` of the graph.
        params: Path and hash of the file.
        output: The features file.

    Returns:
        The saved features and counts of the file.

    Raises:
        ConfigError: If the file is of another format.
        DataError: If a file is missing or damaged, the hash differs, or the content does not fit
            the graph.
    """
    path = Path(params.path)
    sha256 = _require_pinned(section, path, params.sha256)
    labels, graph_fingerprint = read_entity_labels(entities_path)
    provenance = {"model": f"precomputed:{path.name}", "file_sha256": sha256}
    found = _average(path, labels, provenance)
    save_features(found.features, graph_fingerprint, output)
    return found


def describe(found: Precomputed) -> list[str]:
    """Formats the counts of used and omitted rows."""
    is_present, vectors = found.features.is_present, found.features.vectors
    lines = [
        f"{int(is_present.sum())} of {len(is_present)} entities have features: "
        f"{found.features.provenance['model']}, {found.num_rows} rows of {vectors.shape[1]} "
        f"numbers, {len(found.unknown_labels)} unknown labels"
    ]
    if found.labels_by_id:  # an array in another order of ids would also fit
        first, last = found.labels_by_id[0], found.labels_by_id[-1]
        lines.append(f"  by entity id: 0 is {first!r}, {len(is_present) - 1} is {last!r}")
    if found.averaged_entities:
        lines.append(f"  {found.averaged_entities} entities have several rows: averaged")
    if found.zero_rows:
        lines.append(f"  {found.zero_rows} rows are all zero: taken as missing")
    if found.unknown_labels:
        lines.append(
            f"warning: {len(found.unknown_labels)} labels of the file are not in the graph, their "
            f"rows are left out (such as {_examples(found.unknown_labels)})"
        )
    return lines


def _require_pinned(section: str, path: Path, expected: str) -> str:
    """Returns the file's SHA-256, after comparing it with the pinned one."""
    if not path.is_file():
        raise DataError(
            f"{section}.precomputed.path in params.yaml: {path} is not a file; give a path from "
            "the project's root or an absolute one, or null to use a model"
        )
    found = file_sha256(path)
    if found != expected:
        raise DataError(
            f"{section}.precomputed.sha256 in params.yaml: {path} must have {expected}, it has "
            f"{found}; if the file was changed on purpose, set {section}.precomputed.sha256 to "
            f"{found}, else fetch the file again"
        )
    return found


def _average(path: Path, labels: list[str], provenance: dict[str, str]) -> Precomputed:
    """Reads the file and averages its rows by entity."""
    rows = _Collector(path, labels)
    for batch in read_rows(path, len(labels)):
        rows.add(batch)
    return rows.result(provenance)


class _Collector:
    """Adds rows up by entity."""

    def __init__(self, path: Path, labels: list[str]) -> None:
        """Starts without rows.

        Args:
            path: The file, for errors.
            labels: Labels of the graph's entities in id order; length E.
        """
        self._path = path
        self._labels = labels
        self._ids = {label: entity_id for entity_id, label in enumerate(labels)}
        self._sums = np.zeros((len(labels), 0))
        self._counts = np.zeros(len(labels), np.int64)
        self._num_rows = self._zero_rows = 0
        self._unknown: dict[str, None] = {}  # in the order of the file
        self._is_any_known = self._is_by_id = False

    def add(self, rows: Rows) -> None:
        """Adds rows.

        Raises:
            DataError: If an id is out of range or a number is not finite.
        """
        if not self._num_rows:
            self._sums = np.zeros((len(self._labels), rows.vectors.shape[1]))
        vectors = self._single_precision(rows)
        is_zero = ~vectors.any(axis=1)
        entity_ids = self._entity_ids(rows)
        is_known = entity_ids >= 0
        self._num_rows += len(vectors)
        self._zero_rows += int(is_zero.sum())
        self._is_any_known |= bool(is_known.any())
        is_used = is_known & ~is_zero
        for row in np.flatnonzero(is_used):  # 30 times as fast as np.add.at on long vectors
            self._sums[entity_ids[row]] += vectors[row]
            self._counts[entity_ids[row]] += 1

    def result(self, provenance: dict[str, str]) -> Precomputed:
        """Returns the means.

        Raises:
            DataError: If there is no row of an entity of the graph, or all are zero.
        """
        if not self._num_rows or not self._sums.shape[1]:
            raise DataError(
                f"{self._path} has {self._num_rows} rows of {self._sums.shape[1]} numbers, at "
                "least one of each is needed; make it again, or set precomputed to null"
            )
        if not self._is_any_known:
            raise DataError(
                f"{self._path}: none of its {len(self._unknown)} labels is in the graph; it has "
                f"{_examples(list(self._unknown))}, the graph has {_examples(self._labels)}; give "
                "the rows the graph's labels, or ids as entity_id"
            )
        self._sums /= np.maximum(self._counts, 1)[:, None]
        means = torch.from_numpy(self._sums.astype(np.float32))
        is_present = (means != 0).any(dim=1)  # rows that cancel out also count as missing
        num_entities = int(is_present.sum())
        if not num_entities:
            raise DataError(
                f"{self._path}: the vectors of all entities of the graph are zero, which marks "
                "them as missing; make it again, or set precomputed to null"
            )
        counts = {"rows": str(self._num_rows), "entities": str(num_entities)}
        return Precomputed(
            features=FeatureTable(means, is_present, {**provenance, **counts}),
            num_rows=self._num_rows,
            zero_rows=self._zero_rows,
            averaged_entities=int((self._counts > 1).sum()),
            unknown_labels=list(self._unknown),
            labels_by_id=self._labels if self._is_by_id else [],
        )

    def _entity_ids(self, rows: Rows) -> np.ndarray:
        """Returns the entity id of each row, shape: (n,), dtype: int64; -1 for an unknown label."""
        entities = rows.entities
        if isinstance(entities, list):
            entity_ids = np.array([self._ids.get(label, -1) for label in entities], np.int64)
            self._unknown.update(
                dict.fromkeys(label for label in entities if label not in self._ids)
            )
            return entity_ids
        self._is_by_id = True
        is_outside = (entities < 0) | (entities >= len(self._labels))
        if is_outside.any():
            row = int(is_outside.argmax())
            raise DataError(
                f"{self._path}: entity_id of row {rows.first + row} must be in [0, "
                f"{len(self._labels)}), the positions of the graph's entities, got "
                f"{entities[row]}; make the file for this graph, or give labels as entity"
            )
        return entities.astype(np.int64)

    def _single_precision(self, rows: Rows) -> np.ndarray:
        """Returns the vectors as float32 after checking that they are numbers."""
        with np.errstate(over="ignore"):  # becomes infinite, hence an error below
            vectors = rows.vectors.astype(np.float32)
        is_finite = np.isfinite(vectors).all(axis=1)
        if not is_finite.all():
            row = int(is_finite.argmin())
            value = rows.vectors[row][~np.isfinite(vectors[row])][0]
            entity = rows.entities[row]
            raise DataError(
                f"{self._path}: the vector of row {rows.first + row} (entity {entity}) holds "
                f"{value}, it must be finite in single precision; leave the row out or correct it"
            )
        return vectors


def _examples(labels: list[str]) -> str:
    return ", ".join(repr(label) for label in labels[:EXAMPLES])
