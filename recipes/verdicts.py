"""Measures triple classification by the model of the last run: `python -m recipes.verdicts`.

Each fact of valid and test is true; for each, one false fact is made at a seed. Where the folder of
the graph (or `--negatives`) has `valid_negatives.txt` and `test_negatives.txt`, the names of CoDEx,
these are judged too. Thresholds are fitted on valid and judge test. `--choose` compares pulls of
the thresholds on valid alone: fitted on a half, measured on the other one.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import imf_core
from imf_core.base.config import FOLDER, DatasetParams
from imf_core.base.params_file import load_params
from imf_core.graph.graph import Graph
from imf_core.inference.completer import Completer
from imf_core.inference.fact_scores import PULL, FactScorer, Thresholds, choose_thresholds
from recipes.environment import make_table
from recipes.negatives import draw_first_answers, draw_of_role, draw_random, read_negatives
from stages.paths import MODEL, PARAMS
from stages.runner import run_stage

SEED = 0
SAMPLES = 2_000
"""Bootstrap samples of the facts of test."""

NEGATIVES = {"valid": "valid_negatives.txt", "test": "test_negatives.txt"}
Draw = Callable[[Graph, Tensor, Sequence[str], int], Tensor]
"""Makes false facts of true ones that are not in some splits, at a seed."""

PULLS = (0, 5, 10, 20, 40, float("inf"))
HALVINGS = 10


class Judged:
    """True and false facts of a split with their probabilities.

    Args:
        scorer: Scores facts.
        true: shape: (N, 3), dtype: long.
        false: shape: (M, 3), dtype: long.
    """

    def __init__(self, scorer: FactScorer, true: Tensor, false: Tensor) -> None:
        facts = torch.cat([true, false])
        self.probability = scorer.score(facts).probability
        self.is_true = torch.arange(len(facts)) < len(true)
        self.relations = facts[:, 1]

    def fit(self, graph: Graph, pull: float, chosen: Tensor | slice = slice(None)) -> Thresholds:
        """Fits thresholds to some of the facts; those of an infinite pull are all the same."""
        values = self.probability[chosen], self.is_true[chosen], self.relations[chosen]
        found = choose_thresholds(*values, graph.relation_labels, 0 if np.isinf(pull) else pull)
        return found.model_copy(update={"relations": {}}) if np.isinf(pull) else found

    def judge(self, graph: Graph, thresholds: Thresholds) -> Tensor:
        """Returns which facts are judged true, shape: (N + M,), dtype: bool."""
        of_relation = torch.from_numpy(thresholds.of_relations(graph.relation_labels))
        return self.probability >= of_relation[self.relations]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        "python -m recipes.verdicts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--negatives", type=Path, metavar="FOLDER", help="with files of false facts"
    )
    parser.add_argument("--choose", action="store_true", help="compare pulls on valid")
    given = parser.parse_args()
    completer = imf_core.load(MODEL)
    kinds: Mapping[str, Draw] = {
        "any entity": draw_random,
        "an entity of the same role": draw_of_role,
        "one of the model's first ten answers": partial(draw_first_answers, completer.scorer),
    }
    splits = {
        kind: {split: _make(completer, draw, split) for split in NEGATIVES}
        for kind, draw in kinds.items()
    }
    folder = given.negatives or find_negatives(load_params(PARAMS).dataset)
    if folder is not None:
        splits["files"] = {
            split: Judged(
                completer.fact_scorer,
                completer.graph.triples[split],
                read_negatives(completer, folder / name),
            )
            for split, name in NEGATIVES.items()
        }
    graph = completer.graph
    if given.choose:
        titles = ["false facts have", *(f"pull {pull:g}" for pull in PULLS)]
        rows = [[kind, *_compare_pulls(graph, each["valid"])] for kind, each in splits.items()]
    else:
        titles = ["false facts have", "thresholds", "accuracy", "F1", "facts of test"]
        rows = [
            [kind, *row]
            for kind, each in splits.items()
            for row in compare_rules(graph, completer.thresholds, each["valid"], each["test"])
        ]
    print("\n".join(make_table(titles, rows)))


def find_negatives(dataset: DatasetParams) -> Path | None:
    """Returns the folder of the graph if it has both files of false facts, else None."""
    folder = Path(dataset.path)
    has_files = all((folder / name).is_file() for name in NEGATIVES.values())
    return folder if dataset.name == FOLDER and has_files else None


def compare_rules(
    graph: Graph, shipped: Thresholds, valid: Judged, test: Judged
) -> list[list[str]]:
    """Returns rows of the rule, accuracy and F1 with intervals, and the number of facts.

    Args:
        graph: The graph.
        shipped: Thresholds of the model.
        valid: Facts that rules are fitted to.
        test: Facts that they judge.
    """
    is_mostly_true = bool(2 * valid.is_true.sum() >= len(valid.is_true))
    rules = {
        "as shipped": test.judge(graph, shipped),
        "by relation, fitted to such facts": test.judge(graph, valid.fit(graph, PULL)),
        "one for all relations, fitted likewise": test.judge(graph, valid.fit(graph, np.inf)),
        "none: the larger class": torch.full_like(test.is_true, is_mostly_true),
    }
    return [
        [name, *_score(judged, test.is_true), f"{len(judged):,}"] for name, judged in rules.items()
    ]


def _make(completer: Completer, draw: Draw, split: str) -> Judged:
    """Makes one false fact for each fact of a split, in no split that may be looked at."""
    graph = completer.graph
    true = graph.triples[split]
    known = ("train", "valid") if split == "valid" else ("train", "valid", "test")
    false = draw(graph, true, known, SEED)
    order = torch.randperm(len(false), generator=torch.Generator().manual_seed(SEED))
    return Judged(completer.fact_scorer, true, false[order[: len(true)]])


def _compare_pulls(graph: Graph, valid: Judged) -> list[str]:
    """Returns the balanced accuracy on the other half of valid, in per cent, by pull."""
    found = np.zeros((len(PULLS), HALVINGS, 2))
    for halving in range(HALVINGS):
        generator = torch.Generator().manual_seed(halving)
        is_first = torch.rand(len(valid.is_true), generator=generator) < 0.5
        for side, half in enumerate((is_first, ~is_first)):
            for row, pull in enumerate(PULLS):
                right = valid.judge(graph, valid.fit(graph, pull, half)) == valid.is_true
                parts = [right[~half & (valid.is_true == kind)] for kind in (True, False)]
                found[row, halving, side] = np.mean([float(each.double().mean()) for each in parts])
    return [f"{100 * each:.1f}" for each in found.mean(axis=(1, 2))]


def _score(judged: Tensor, is_true: Tensor) -> list[str]:
    """Formats accuracy and F1 in per cent with 95 % bootstrap intervals over the facts."""
    cells = (judged & is_true, judged & ~is_true, ~judged & is_true, ~judged & ~is_true)
    counts = np.array([int(cell.sum()) for cell in cells])
    number = counts.sum()
    samples = np.random.default_rng(SEED).multinomial(number, counts / number, SAMPLES)
    formatted = []
    for measure in (_accuracy, _f1):
        low, high = np.quantile(measure(samples), [0.025, 0.975])
        value = measure(counts[None])[0]
        formatted.append(f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]")
    return formatted


def _accuracy(counts: np.ndarray) -> np.ndarray:
    """Returns accuracies of true and false positives, false and true negatives: (S, 4) -> (S,)."""
    found: np.ndarray = (counts[:, 0] + counts[:, 3]) / counts.sum(axis=1)
    return found


def _f1(counts: np.ndarray) -> np.ndarray:
    """Returns F1 of true and false positives, false and true negatives: (S, 4) -> (S,)."""
    found: np.ndarray = 2 * counts[:, 0] / np.maximum(1, 2 * counts[:, 0] + counts[:, 1:3].sum(1))
    return found


if __name__ == "__main__":
    run_stage(main)
