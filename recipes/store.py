"""Stores measurements as one JSON file per data set, row and seed, and gains between rows.

The JSON files are committed; the tables are made from them. The ranks are not; they serve to
compute the interval of a gain right after a measurement.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imf_core.base.artifacts import atomic_path, read_json, write_text
from imf_core.base.errors import DataError
from imf_core.evaluation.metrics import average_by_fact, estimate_gain
from imf_core.evaluation.ranking import COMBINED, RankTable
from recipes.recipe import FOLDER
from recipes.rows import FULL, STRUCTURE, TWO_STRUCTURES

RESULTS = FOLDER / "results"
GAIN = "gain.json"
DIGITS = 6
"""Digits of figures; parameters stay exact, for comparison with those of new measurements."""

EXACT = ("overrides", "basis")


@dataclass(frozen=True)
class ModelRun:
    """Record of one training.

    Attributes:
        seed: `train.seed`.
        selected_epoch: Epoch selected on valid.
        trained_epochs: Number of trained epochs.
        process_seconds: Processor time of training and selection, over all threads.
        wall_seconds: Wall-clock time of the same.
        curve: Epoch, loss, and MRR on valid, combined and by channel, of each validation.
    """

    seed: int
    selected_epoch: int
    trained_epochs: int
    process_seconds: float
    wall_seconds: float
    curve: list[dict[str, float]]


@dataclass(frozen=True)
class Basis:
    """Inputs that the figures of a measurement depend on, beside code and row.

    Attributes:
        params: All sections that training and ranking depend on; see `training_values`.
        graph: Hashes of the labels, of the train and valid facts, and of the test facts.
        features: Hash of the table of each modality that the model reads.
    """

    params: dict[str, dict[str, Any]]
    graph: str
    features: dict[str, str]


@dataclass(frozen=True)
class Measurement:
    """Measurement of one row of one data set, with one seed.

    Attributes:
        dataset: The recipe's name.
        row: The row's name.
        seed: Seed of the first model.
        overrides: Values that differ from the committed params.yaml, except the seed.
        modalities: Modalities of the model.
        command: Command of the measurement.
        environment: From `recipes.environment`, with the device.
        threads: Threads of one process.
        basis: Inputs of the figures; a row with the same basis need not be measured again.
        models: Record of each training; mostly one.
        weights: Weights of the channels in the global decision.
        test: Metrics on test, from `overall_metrics`.
        valid: Metrics on valid, optimistic, since the decision was fitted there.
        by_degree: Breakdown of test, from `by_degree`.
        by_media: Breakdown of test, from `by_media`.
    """

    dataset: str
    row: str
    seed: int
    overrides: dict[str, Any]
    modalities: list[str]
    command: str
    environment: dict[str, str]
    threads: int
    basis: Basis
    models: list[ModelRun]
    weights: dict[str, float]
    test: dict[str, Any]
    valid: dict[str, Any]
    by_degree: list[dict[str, Any]]
    by_media: list[dict[str, Any]]

    @property
    def process_seconds(self) -> float:
        """Processor time of training."""
        return sum(model.process_seconds for model in self.models)

    @property
    def wall_seconds(self) -> float:
        """Wall-clock time of training."""
        return sum(model.wall_seconds for model in self.models)


class Store:
    """Reads and writes results and ranks.

    Args:
        results: Folder of the JSON files, with a folder for each data set.
        ranks: Folder of the ranks, with a folder for each data set.
    """

    def __init__(self, results: Path, ranks: Path) -> None:
        self.results = results
        self.ranks = ranks

    def save(self, measurement: Measurement, test: RankTable) -> None:
        """Writes a measurement and its ranks of test."""
        place = measurement.dataset, measurement.row, measurement.seed
        path = self._ranks_file(*place)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            reciprocal = {name: (1 / rank).astype(np.float32) for name, rank in test.ranks.items()}
            np.savez(file, **reciprocal)  # type: ignore[arg-type]  # numpy's stub wants a flag
        write_text(self._file(*place), _dump(asdict(measurement)))

    def load(self, dataset: str, row: str, seed: int) -> Measurement | None:
        """Reads a measurement, None if there is none."""
        path = self._file(dataset, row, seed)
        return _read(path) if path.exists() else None

    def load_all(self, dataset: str) -> list[Measurement]:
        """Reads all measurements of a data set, by row and seed."""
        paths = sorted((self.results / dataset).glob("*-seed*.json"))
        return sorted(map(_read, paths), key=lambda each: (each.row, each.seed))

    def load_ranks(self, dataset: str, row: str, seed: int) -> NDArray[np.float32] | None:
        """Reads the decision's reciprocal ranks, None if there are none.

        Returns:
            Ranks of all tail queries, then of all head queries, shape: (2N,).
        """
        path = self._ranks_file(dataset, row, seed)
        if not path.exists():
            return None
        with np.load(path) as arrays:
            ranks: NDArray[np.float32] = arrays[COMBINED]
        return ranks

    def save_gain(self, dataset: str, gain: dict[str, Any]) -> None:
        """Writes the gains of a data set, from `recipes.store`."""
        write_text(self.results / dataset / GAIN, _dump(gain))

    def load_gain(self, dataset: str) -> dict[str, Any]:
        """Reads the gains of a data set, empty if there are none."""
        path = self.results / dataset / GAIN
        gain: dict[str, Any] = read_json(path) if path.exists() else {}
        return gain

    def _file(self, dataset: str, row: str, seed: int) -> Path:
        return self.results / dataset / f"{row}-seed{seed}.json"

    def _ranks_file(self, dataset: str, row: str, seed: int) -> Path:
        return self.ranks / dataset / f"{row}-seed{seed}.npz"


def _read(path: Path) -> Measurement:
    content = read_json(path)
    try:
        models = [ModelRun(**model) for model in content.pop("models")]
        basis = Basis(**content.pop("basis"))
        return Measurement(**content, basis=basis, models=models)
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not a measurement of this version ({error}); remove it and measure again"
        ) from error


def _dump(content: dict[str, Any]) -> str:
    """Formats one line per key: curves and tables are for comparison, not for reading."""
    lines = [
        f" {json.dumps(key)}: {json.dumps(each if key in EXACT else _round(each))}"
        for key, each in content.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _round(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {key: _round(each) for key, each in value.items()}
    return [_round(each) for each in value] if isinstance(value, list) else value


TOLERANCE = 1e-5
"""Largest difference between a gain and two MRRs, which are stored with six digits."""


def update_gains(store: Store, dataset: str) -> None:
    """Updates the gains of a data set from its measurements and their ranks.

    A gain without ranks on this disk is kept if it still matches the stored measurements.
    """
    measurements = store.load_all(dataset)
    gains = load_current_gains(store, dataset)
    for other in (STRUCTURE, TWO_STRUCTURES):
        seeds = sorted(_mrr_by_seed(FULL, measurements).keys() & _mrr_by_seed(other, measurements))
        pairs = [
            (store.load_ranks(dataset, FULL, seed), store.load_ranks(dataset, other, seed))
            for seed in seeds
        ]
        differences = [
            of_fact(full, rest) for full, rest in pairs if full is not None and rest is not None
        ]
        if len(differences) < len(seeds):
            print(
                f"{dataset}: the gain of {FULL} over {other} "
                f"{'is kept' if other in gains else 'is left out'}, since the ranks of some of its "
                "seeds are not on this disk; measure those with --again"
            )
        elif seeds:
            gains[other] = compute_gain(seeds, differences)
    store.save_gain(dataset, gains)


def load_current_gains(store: Store, dataset: str) -> dict[str, Any]:
    """Reads the gains of a data set that match the stored measurements.

    Returns:
        Results of `compute_gain`, by the row that `full` is compared with.
    """
    measurements = store.load_all(dataset)
    return {
        other: gain
        for other, gain in store.load_gain(dataset).items()
        if is_gain_of(gain, other, measurements)
    }


def is_gain_of(gain: Mapping[str, Any], other: str, measurements: Sequence[Measurement]) -> bool:
    """Returns whether a gain equals the difference of MRRs, for every seed.

    Args:
        gain: From `compute_gain`.
        other: The row that `full` is compared with.
        measurements: All measurements of the data set.
    """
    full, rest = _mrr_by_seed(FULL, measurements), _mrr_by_seed(other, measurements)
    return all(
        seed in full and seed in rest and abs(full[seed] - rest[seed] - each["gain"]) <= TOLERANCE
        for seed, each in zip(gain["seeds"], gain["by_seed"], strict=True)
    )


def _mrr_by_seed(row: str, measurements: Sequence[Measurement]) -> dict[int, float]:
    """Returns the MRR on test of a row, by seed."""
    return {each.seed: each.test["mrr"] for each in measurements if each.row == row}


def of_fact(full: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns the difference in mean reciprocal rank of each fact, shape: (2N,) -> (N,)."""
    return average_by_fact(full.astype(np.float64) - other)


def compute_gain(
    seeds: Sequence[int], differences: Sequence[NDArray[np.float64]]
) -> dict[str, Any]:
    """Returns the gain in MRR, by seed and pooled, with intervals.

    Args:
        seeds: At least one.
        differences: From `of_fact`, for each seed, shape: (N,).
    """
    pooled = np.mean(differences, axis=0)
    return {
        "seeds": list(seeds),
        "by_seed": [asdict(estimate_gain(each)) for each in differences],
        "pooled": asdict(estimate_gain(pooled)),
    }
