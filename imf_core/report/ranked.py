"""The ranks of test as arrays: what every comparison in the report is computed from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from imf_core.artifacts import read_parquet
from imf_core.evaluation.ranking import COMBINED

_COLUMNS = ["head", "relation", "tail", "split", "side", f"rank_{COMBINED}"]


@dataclass(frozen=True)
class Ranked:
    """One row per test fact and direction: first all tail queries, then all head queries.

    Attributes:
        facts: (head, relation, tail), shape: (P, 3), dtype: int64.
        is_head_query: Whether the head was asked for, shape: (P,), dtype: bool.
        rank: Realistic filtered rank under the decision, shape: (P,).
    """

    facts: NDArray[np.int64]
    is_head_query: NDArray[np.bool_]
    rank: NDArray[np.float64]

    @property
    def entity(self) -> NDArray[np.int64]:
        """The entity asked about, shape: (P,)."""
        return np.where(self.is_head_query, self.facts[:, 2], self.facts[:, 0])

    @property
    def answer(self) -> NDArray[np.int64]:
        """The true answer, shape: (P,)."""
        return np.where(self.is_head_query, self.facts[:, 0], self.facts[:, 2])

    @property
    def reciprocal(self) -> NDArray[np.float64]:
        """Reciprocal ranks, whose mean is the MRR, shape: (P,)."""
        return 1.0 / self.rank

    def queries(self, num_relations: int) -> NDArray[np.int64]:
        """Returns (entity, relation with inverses), shape: (P, 2)."""
        relation = self.facts[:, 1] + num_relations * self.is_head_query
        return np.stack([self.entity, relation], axis=1)


def read_test_ranks(path: Path) -> Ranked | None:
    """Reads the rows of test from `ranks.parquet`; None where the file holds no ranks at all.

    Raises:
        DataError: If the file is missing or damaged.
    """
    table = read_parquet(path)
    if not table.num_columns:
        return None
    table = read_parquet(path, _COLUMNS)
    table = table.filter(pc.equal(table["split"], "test"))
    return Ranked(
        facts=np.stack([table[name].to_numpy() for name in ("head", "relation", "tail")], axis=1),
        is_head_query=np.array(table["side"].to_pylist()) == "head",
        rank=table[f"rank_{COMBINED}"].to_numpy(),
    )
