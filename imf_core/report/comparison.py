"""The full model beside the structure-only baseline and the last committed run, in figures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from imf_core.base.artifacts import read_parquet
from imf_core.base.modality import STRUCTURE, channel_of, find_modalities
from imf_core.evaluation.metrics import Gain, average_by_fact, estimate_gain
from imf_core.evaluation.ranking import COMBINED
from imf_core.graph.graph import DEGREE_BINS

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
        """Reciprocal ranks, shape: (P,); their mean is the MRR."""
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


SIDES = ("tail", "head")
SHOWN = {"mrr", "hits_at_1", "hits_at_3", "hits_at_10", "mean_rank"}
"""Metrics that the page shows."""

CHANNEL_WORDS = {
    **{channel_of(name): name for name in (STRUCTURE, *find_modalities())},
    "fused": "fused",
    "paths": "paths",
}
"""Names of the channels on the page."""

RANK_BOUNDS = (1, 3, 10, 30, 100, 300, 1000)
"""Highest rank in each bin but the last."""

FULL, BASELINE, COMMITTED = "this model", "structure only", "last committed run"

Mask = NDArray[np.bool_]


class NotCompared(Enum):
    """Why the last committed run cannot stand beside this one."""

    NO_RUN = "no run"
    OTHER_FACTS = "other facts"
    NOT_CACHED = "not cached"


@dataclass(frozen=True)
class MetricsRow:
    """One line of the table of metrics.

    Attributes:
        title: Who scored.
        kind: `full`, `side`, `channel`, `baseline` or `committed`.
        metrics: Of test, see `rank_metrics`.
    """

    title: str
    kind: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Group:
    """Some of the test queries, ranked by both models.

    Attributes:
        title: Which ones.
        queries: How many.
        full: MRR of the full model.
        baseline: MRR of structure alone, None where there is no baseline.
    """

    title: str
    queries: int
    full: float
    baseline: float | None

    @property
    def gain(self) -> float | None:
        """What the full model has above structure alone."""
        return None if self.baseline is None else self.full - self.baseline


def list_metrics(
    test: Mapping[str, Any], baseline: Mapping[str, Any], committed: Mapping[str, Any]
) -> list[MetricsRow]:
    """Returns the rows of the table of metrics.

    Args:
        test: Section `test` of `results/evaluation/metrics.json`.
        baseline: The same of the baseline, empty where there is none.
        committed: The same of the last committed run, empty where there is none.
    """
    rows = [MetricsRow(FULL, "full", test)]
    rows += [MetricsRow(f"asked for the {side}", "side", test[side]) for side in SIDES]
    rows += [
        MetricsRow(f"{format_channel(name)} channel", "channel", test[name])
        for name in channels_in(test)
    ]
    if baseline:
        rows.append(MetricsRow(BASELINE, "baseline", baseline))
    if committed.keys() >= SHOWN:  # an early run may have had other ones
        rows.append(MetricsRow(COMMITTED, "committed", committed))
    return rows


def place_committed(
    metrics: Mapping[str, Any], committed: Mapping[str, Any] | NotCompared
) -> tuple[str, Mapping[str, Any]]:
    """Compares the last committed run with this one, and chooses the metrics shown beside.

    Args:
        metrics: `results/evaluation/metrics.json`.
        committed: The same of the last committed run, or why there is nothing to compare with.

    Returns:
        `same`, `other` or the value of a `NotCompared`; section `test` where it is `other`.
    """
    if isinstance(committed, NotCompared):
        return committed.value, {}
    if committed == metrics:
        return "same", {}
    return "other", committed.get("test", {})


def channels_in(test: Mapping[str, Any]) -> list[str]:
    """Lists the names of the channels in a section of the metrics."""
    return [
        name for name, value in test.items() if isinstance(value, Mapping) and name not in SIDES
    ]


def format_channel(name: str) -> str:
    """Returns the page's name of a channel: image for visual, and so on."""
    return CHANNEL_WORDS.get(name, name)


def estimate_full_gain(full: Ranked, baseline: Ranked | None) -> Gain | None:
    """Returns the gain in MRR over structure alone, None where there is no baseline."""
    if baseline is None:
        return None
    return estimate_gain(average_by_fact(full.reciprocal - baseline.reciprocal))


def compare_by_media(
    full: Ranked, baseline: Ranked | None, is_present: Mapping[str, Mask]
) -> list[Group]:
    """Splits the queries by whether the entity asked about has an image, a text.

    Args:
        full: Ranks of the full model.
        baseline: Ranks of structure alone, of the same facts.
        is_present: Word for a modality -> which entities have it, shape: (E,).
    """
    found = []
    for word, present in is_present.items():
        has = present[full.entity]
        found.append(_group(f"with {word}", has, full, baseline))
        found.append(_group(f"without {word}", ~has, full, baseline))
    return [group for group in found if group.queries]


def compare_by_degree(
    full: Ranked, baseline: Ranked | None, degree_bins: NDArray[np.int64]
) -> list[Group]:
    """Splits the queries by how many train facts the entity asked about has.

    Args:
        full: Ranks of the full model.
        baseline: Ranks of structure alone, of the same facts.
        degree_bins: Of every entity, from `find_degree_bins`, shape: (E,).
    """
    bins = degree_bins[full.entity]
    found = [
        _group(_format_range(low, high), bins == position, full, baseline)
        for position, (low, high) in enumerate(DEGREE_BINS)
    ]
    return [group for group in found if group.queries]


def compare_by_relation(
    full: Ranked, baseline: Ranked | None, num_relations: int
) -> Iterator[tuple[int, Group, Group, Group]]:
    """Yields for each relation of test: its id, all its queries, those for the tail, the head."""
    relation = full.facts[:, 1]
    for each in range(num_relations):
        mask = relation == each
        if mask.any():
            yield (
                each,
                _group("both", mask, full, baseline),
                _group("tail", mask & ~full.is_head_query, full, baseline),
                _group("head", mask & full.is_head_query, full, baseline),
            )


def count_ranks(ranked: Ranked) -> list[tuple[str, int, float]]:
    """Returns words for each bin of ranks, how many queries fall there, and their share."""
    bins = np.searchsorted(RANK_BOUNDS, ranked.rank, side="left")
    counts = np.bincount(bins, minlength=len(RANK_BOUNDS) + 1)
    lows = [1, *(bound + 1 for bound in RANK_BOUNDS)]
    titles = [
        _format_range(low, high) for low, high in zip(lows, [*RANK_BOUNDS, None], strict=True)
    ]
    return [
        (title, int(count), float(count / len(ranked.rank)))
        for title, count in zip(titles, counts, strict=True)
    ]


def _group(title: str, mask: Mask, full: Ranked, baseline: Ranked | None) -> Group:
    """Averages the reciprocal ranks of some queries."""
    count = int(mask.sum())
    if not count:
        return Group(title, 0, 0.0, None)
    other = None if baseline is None else float(baseline.reciprocal[mask].mean())
    return Group(title, count, float(full.reciprocal[mask].mean()), other)


def _format_range(low: int, high: int | None) -> str:
    """Writes a range of whole numbers: 1, 2–3, 11+."""
    if high is None:
        return f"{low}+"
    return str(low) if low == high else f"{low}–{high}"
