"""Measures relation prediction, (head, ?, tail): `python -m recipes.relations`.

Trains the workspace's model as the stage `train` does, without and with the auxiliary loss that
predicts the relation (`train.relation_weight`), and ranks the relation of each fact of valid and
test among the relations of its pair, filtered by all other facts, ties half. The rules:
`predict_relations`, its two factors alone (probability of the fact, affinity), and the number of
train facts of a relation. The parameters are those of params.yaml and
`results/tuning/chosen.json`; graph and features are those of the workspace.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from imf_core.base.config import Params
from imf_core.base.params_file import load_params
from imf_core.base.terminal import track
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import known_tails_in
from imf_core.inference.fact_scores import FactScorer
from imf_core.inference.plausibility import FurtherAnswers, estimate_affinities
from imf_core.inference.relation_answers import find_known, rank_true_relations, score_relations
from imf_core.model.scorer import Scorer
from recipes.environment import make_table
from recipes.suspects import train_model
from stages.inputs import load_inputs
from stages.paths import PARAMS
from stages.runner import run_stage

FREQUENCY = "train facts of the relation"
PAIRS_AT_ONCE = 256
SPLITS = ("valid", "test")

Ranks = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""Ranks of the facts of a split, by rule and split."""


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        "python -m recipes.relations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", default=[0, 1, 2])
    parser.add_argument(
        "--weights",
        type=float,
        nargs="+",
        metavar="W",
        default=[0.0, 0.5],
        help="values of train.relation_weight (0 0.5)",
    )
    given = parser.parse_args()
    graph, tables = load_inputs()
    params = load_params(PARAMS)
    rows = []
    for number, weight in enumerate(given.weights):
        found = [_measure(graph, tables, params, seed, weight) for seed in given.seeds]
        for rule in found[0]:
            if rule != FREQUENCY:
                rows.append([f"{weight:g}", rule, *_format([each[rule] for each in found])])
        if number == len(given.weights) - 1:
            rows.append(["", FREQUENCY, *_format([found[0][FREQUENCY]])])
    titles = ["relation_weight", "rule"]
    titles += [f"{metric}, {split}" for split in SPLITS for metric in ("MRR", "Hits@1")]
    print("\n".join(make_table(titles, rows)))


def _measure(
    graph: Graph, tables: Mapping[str, FeatureTable], params: Params, seed: int, weight: float
) -> Ranks:
    train = params.train.model_copy(update={"relation_weight": weight})
    trainer = train_model(graph, tables, params.model_copy(update={"train": train}), seed)
    known = known_tails_in(graph, ["train"])
    scorer = FactScorer(Scorer(trainer.model), trainer.calibrate(), known, FurtherAnswers(graph))
    ranks = rank_by_rules(scorer, graph)
    mrr = {rule: round(float((1 / each["test"]).mean()), 4) for rule, each in ranks.items()}
    print(f"relation_weight {weight:g}, seed {seed}: {mrr}", file=sys.stderr, flush=True)
    return ranks


def rank_by_rules(scorer: FactScorer, graph: Graph) -> Ranks:
    """Ranks the relations of the facts of valid and test by each rule.

    Args:
        scorer: Scores facts.
        graph: All splits filter; train gives affinities and frequencies.
    """
    affinities = estimate_affinities(known_tails_in(graph, ["train"]), graph.num_relations)
    everything = known_tails_in(graph)
    frequency = graph.triples["train"][:, 1].bincount(minlength=graph.num_relations)
    found: dict[str, dict[str, list[NDArray[np.float64]]]] = {}
    for split in SPLITS:
        batches = graph.triples[split].split(PAIRS_AT_ONCE)
        for batch in track(batches, f"{split}, batches of pairs", len(batches)):
            scored = score_relations(scorer, affinities, batch[:, [0, 2]])
            values: dict[str, Tensor] = {
                "`predict_relations`": scored.probability,
                "probability of the fact alone": scored.fact_probability,
                "affinity alone": scored.affinity,
                FREQUENCY: frequency.expand(len(batch), -1),
            }
            is_known = find_known(everything, scored.facts)
            for rule, each in values.items():
                ranks = rank_true_relations(each, batch[:, 1], is_known)
                found.setdefault(rule, {}).setdefault(split, []).append(ranks)
    return {
        rule: {split: np.concatenate(parts) for split, parts in of_splits.items()}
        for rule, of_splits in found.items()
    }


def _format(of_seeds: Sequence[Mapping[str, NDArray[np.float64]]]) -> list[str]:
    """Returns MRR and Hits@1 of each split in per cent, with the deviation over the seeds."""
    cells = []
    for split in SPLITS:
        for values in (
            [100 * float((1 / each[split]).mean()) for each in of_seeds],
            [100 * float((each[split] <= 1).mean()) for each in of_seeds],
        ):
            deviation = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.1f}{deviation}")
    return cells


if __name__ == "__main__":
    run_stage(main)
