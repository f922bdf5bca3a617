"""Measures path networks alone: `python -m recipes.paths atlas db15k FOLDER`.

Prints MRR on valid and test, filtered and in both directions: of given weights as they are, of the
first of them fine-tuned on train, and of a network of the same size trained from scratch. The
number of steps is chosen on valid. A set is a registered name or the folder of a graph. Valid is
filtered by train and valid, test by all facts.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import torch

from imf_core.graph.graph import Graph
from imf_core.paths.fine_tuning import FineTuning, fine_tune
from imf_core.paths.network import PathNetwork
from imf_core.paths.pretrained import PRETRAINED, find_network
from recipes.environment import make_table
from recipes.path_ranks import PathRanking, load_set
from stages.runner import run_stage

EVERY = 10
"""Steps between measurements on valid."""

TITLES = ("set", "queries", "weights", "trained on the set", "steps", "MRR, valid", "MRR, test")


@dataclass(frozen=True)
class Measured:
    """MRR of a network, and the steps of its training chosen on valid."""

    steps: int
    valid: float
    test: float


def main() -> None:
    """Prints the table."""
    given = _parse()
    torch.set_num_threads(1)
    rows = []
    for name in given.sets:
        for row in measure_set(Path(name).name, load_set(name), given):
            print(*row, sep=" | ", file=sys.stderr, flush=True)
            rows.append(row)
    print("\n".join(make_table(TITLES, rows)))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m recipes.paths",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sets", nargs="+", metavar="SET", help="a registered name or a folder")
    parser.add_argument(
        "--weights",
        nargs="+",
        metavar="VALUE",
        default=[PRETRAINED],
        help=f"{PRETRAINED}, files or hub models (OWNER/MODEL@COMMIT); the first are fine-tuned",
    )
    parser.add_argument("--limit", type=int, help="facts of valid and of test, evenly spaced")
    parser.add_argument("--seeds", type=int, nargs="*", metavar="N", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=100, help="of a training at most (100)")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="fine-tuning (2e-3)")
    parser.add_argument("--scratch-rate", type=float, default=5e-3, help="from scratch (5e-3)")
    return parser.parse_args()


def measure_set(name: str, graph: Graph, given: argparse.Namespace) -> Iterator[list[str]]:
    """Yields the rows of a set."""
    ranking, first = PathRanking(graph), given.weights[0]
    counts = [len(graph.triples[split]) for split in ("valid", "test")]
    queries = " / ".join(str(2 * min(given.limit or count, count)) for count in counts)
    for value in given.weights:
        network = find_network(value)
        found = measure(network, ranking, FineTuning(steps=0), given.limit)
        yield [name, queries, _title(value), "no", *_summarise([found])]
    for title, rate in (("fine-tuned", given.learning_rate), ("from scratch", given.scratch_rate)):
        several = []
        for seed in given.seeds:
            network = find_network(first)
            if title == "from scratch":
                torch.manual_seed(seed)
                network = PathNetwork(network.spec)
            settings = FineTuning(steps=given.steps, learning_rate=rate, seed=seed)
            several.append(measure(network, ranking, settings, given.limit))
        if several:
            yield [name, queries, _title(first), title, *_summarise(several)]


def measure(
    network: PathNetwork, ranking: PathRanking, settings: FineTuning, limit: int | None
) -> Measured:
    """Trains a network on train, keeps the steps that are best on valid, and ranks test."""

    def keep() -> tuple[float, int, dict[str, torch.Tensor]]:
        weights = {name: each.clone() for name, each in network.state_dict().items()}
        return ranking.measure_mrr(network, "valid", limit), step, weights

    step = 0
    best = keep()
    triples = ranking.graph.triples["train"]
    for step, _ in enumerate(fine_tune(network, ranking.paths, triples, settings), 1):
        if step % EVERY == 0:
            best = max(best, keep(), key=lambda each: each[0])
    network.load_state_dict(best[2])
    return Measured(best[1], best[0], ranking.measure_mrr(network, "test", limit))


def _title(value: str) -> str:
    return Path(value).stem if Path(value).suffix else value


def _summarise(found: Sequence[Measured]) -> list[str]:
    """Returns the steps, and mean and standard deviation of MRR on valid and test."""
    steps = ", ".join(str(each.steps) for each in found)
    values = ([each.valid for each in found], [each.test for each in found])
    return [steps, *map(_format, values)]


def _format(values: Sequence[float]) -> str:
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{spread}"


if __name__ == "__main__":
    run_stage(main)
