"""What the parts of `python -m benchmarks gpu` share: device, clock, figures, models, batches."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Literal

import torch
import yaml

from benchmarks.accuracy import ROOT, read_params
from benchmarks.gpu_graphs import NamedWorld, load_world
from benchmarks.graphs import World
from benchmarks.results import Row
from imf_core.base.config import SettledParams
from imf_core.evaluation.metrics import rank_metrics
from imf_core.evaluation.ranking import COMBINED, RankTable
from imf_core.graph.known_tails import known_tails_in
from imf_core.model.imf import IMF
from imf_core.model.saved import build_model
from imf_core.training.batches import Batch, QueryRows, build_rows

PART = "gpu"

BATCH = 512
"""Queries ranked at once."""

MOST_RUNS = 200
"""Timed runs of one measure."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of the work; `TINY` is that of `--dry-run`."""

    shrink: int = 1
    product: int = 8192
    steps: int = 20
    entities: int = 4_000
    images: int = 256
    texts: int = 256
    words: int = 64
    layers: int = 12
    paths: int = 64
    patience: float = 1.0  # factor of the seconds of each measure


TINY = Sizes(
    shrink=50,
    product=64,
    steps=3,
    entities=300,
    images=2,
    texts=2,
    words=8,
    layers=1,
    paths=2,
    patience=0.0,
)


@dataclass
class Bench:
    """A measured device and its figures.

    Attributes:
        device: The measured device.
        sizes: Sizes of the work.
        mirror: Folder of source files, None without one.
        folder: Folder of sets, None without one.
        end: Of all parts, by `time.monotonic`.
        rows: Figures so far.
        rates: Operations per second of a large product by type of number.
        worlds: Loaded graphs by name of the set.
    """

    device: torch.device
    sizes: Sizes
    mirror: Path | None
    folder: Path | None
    end: float
    rows: list[Row] = field(default_factory=list)
    rates: dict[torch.dtype, float] = field(default_factory=dict)
    worlds: dict[str, NamedWorld] = field(default_factory=dict)

    def add(
        self, name: str, value: float, unit: str, note: str = "", is_ratio: bool = False
    ) -> None:
        """Keeps and prints a figure; those in s and GiB are better if lower."""
        better: Literal["higher", "lower", "none"] = "higher" if unit else "none"
        better = "lower" if unit in {"s", "GiB"} else better
        self.rows.append(Row(PART, name, value, unit, better, None, is_ratio, note))
        print(f"  {name}: {value:.4g} {unit}".rstrip(), flush=True)

    def wait(self) -> None:
        """Waits until the device has done its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def time(self, work: Callable[[], object], seconds: float) -> float:
        """Returns the median seconds of runs of `work`, after one or two warm-up runs.

        Args:
            work: Run at least once after the warm-up.
            seconds: No further run starts after so many, nor after the end of all parts.
        """
        end = min(self.end, time.monotonic() + seconds * self.sizes.patience)
        work()
        self.wait()
        if time.monotonic() < end:
            work()
            self.wait()
        found: list[float] = []
        while not found or (time.monotonic() < end and len(found) < MOST_RUNS):
            start = time.perf_counter()
            work()
            self.wait()
            found.append(time.perf_counter() - start)
        return median(found)

    def world(self, name: str) -> NamedWorld:
        """Returns a set's graph; reads or makes it once."""
        if name not in self.worlds:
            self.worlds[name] = load_world(name, self.mirror, self.folder, self.sizes.shrink)
        return self.worlds[name]

    def params(self, overrides: Mapping[str, object]) -> SettledParams:
        """Returns parameters of a benchmark on this device."""
        params = read_params(overrides)
        return params.model_copy(
            update={"train": params.train.model_copy(update={"device": self.device.type})}
        )


def build(world: World, params: SettledParams) -> IMF:
    """Builds a model at seed 0, on the CPU."""
    torch.manual_seed(0)
    return build_model(world.graph, world.tables, params.model, params.fusion)


def recipe_values(name: str) -> dict[str, object]:
    """Returns the values of a recipe that a training reads."""
    recipe = yaml.safe_load((ROOT / "recipes" / f"{name}.yaml").read_text(encoding="utf-8"))
    return {
        f"{section}.{key}": value
        for section in ("model", "fusion", "train")
        for key, value in recipe[section].items()
    }


def make_rows(world: World, params: SettledParams) -> QueryRows:
    """Returns the training rows."""
    return build_rows(known_tails_in(world.graph, ["train"]), params.train.positives_per_row)


def iterate_batches(world: World, params: SettledParams) -> Iterator[Batch]:
    """Yields the batches of endless epochs."""
    rows, epoch = make_rows(world, params), 0
    while True:
        yield from rows.batches(params.train.batch_size, seed=epoch)
        epoch += 1


def mrr(table: RankTable) -> float:
    """Returns MRR of the decision, from 0 to 1."""
    return float(rank_metrics(table.ranks[COMBINED], table.num_candidates)["mrr"])


def reset_memory(bench: Bench) -> None:
    """Starts a new measure of the device's memory."""
    if bench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(bench.device)


def add_memory(bench: Bench, name: str) -> None:
    """Adds the peak of the device's memory; nothing on a CPU."""
    if bench.device.type == "cuda":
        bench.add(name, torch.cuda.max_memory_allocated(bench.device) / 2**30, "GiB")
