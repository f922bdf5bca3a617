"""Compares accuracy on small graphs with peers: `python -m benchmarks.small_graphs [NAME ...]`.

For each data set inside PyKEEN's package, in one process and on the same files: this project with
`auto` and by its rules alone, plain ComplEx-N3, and PyKEEN's ComplEx and TuckER. All learn from
train, are selected on valid, and rank test in both directions, filtered, with realistic ties.
Trials use the first seed only, and so do PyKEEN's models. The results replace those of the same
data set and method in `benchmarks/small_graphs.json`, and the table goes into `docs/benchmarks.md`.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch

from benchmarks import peers
from benchmarks.accuracy import ROOT, Model, Row, load, render, store
from benchmarks.peers import Trained, mrr, rank, train_complex_n3
from imf_core.base.config import DecisionParams, TrainingSpec
from imf_core.base.device import ALONE
from imf_core.base.params_file import load_params
from imf_core.base.yaml_text import read_yaml
from imf_core.evaluation.metrics import rank_metrics
from imf_core.evaluation.ranking import COMBINED, RankTable
from imf_core.graph.feature_table import FeatureTable, save_features
from imf_core.graph.graph import Graph
from imf_core.graph.labels import SPLITS, save_graph
from imf_core.model.scorer import Scorer
from imf_core.training.settle import settle_model, settle_train
from imf_core.tuning.search import NO_FUSION
from recipes.environment import describe_environment, write_between_markers
from stages import tune
from stages.baseline import keep_structural_penalty, keep_structure
from stages.evaluate import rank_held_out
from stages.paths import FEATURES, GRAPH, PARAMS
from stages.training import make_trainer, read_chosen

NAMES = ("umls", "kinships", "nations")
RESULTS = Path(__file__).with_name("small_graphs.json")
DOCUMENT, MARKER = ROOT / "docs" / "benchmarks.md", "small graphs"
CODE = ["imf_core", "stages", "params.yaml", "benchmarks/*.py"]
N3 = (0.003, 0.01, 0.03, 0.1)
SHOWN = ("train.batch_size", "train.n3", "model.head_dropout", "train.relation_weight")
TOLERANCE = 1e-3
"""Largest difference in MRR between PyKEEN's evaluator and the library's ranking."""


def read_graph(name: str) -> Graph:
    """Reads a data set inside PyKEEN's package, with its own split."""
    spec = find_spec("pykeen")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("PyKEEN is missing; run `python -m pip install --group benchmark`")
    folder = Path(spec.submodule_search_locations[0]) / "datasets" / name
    facts = {
        split: [line.split("\t") for line in (folder / f"{split}.txt").read_text().splitlines()]
        for split in SPLITS
    }
    everything = [fact for split in SPLITS for fact in facts[split]]
    entities = sorted({fact[end] for fact in everything for end in (0, 2)})
    relations = sorted({fact[1] for fact in everything})
    entity_ids = {label: number for number, label in enumerate(entities)}
    relation_ids = {label: number for number, label in enumerate(relations)}
    triples = {
        split: torch.tensor(
            [[entity_ids[head], relation_ids[name], entity_ids[tail]] for head, name, tail in some]
        )
        for split, some in facts.items()
    }
    return Graph(entities, entities, [""] * len(entities), relations, relations, triples)


def measure_ours(method: str, trials: int | None, graph: Graph, seeds: Sequence[int]) -> list[Row]:
    """Runs the stage `tune` and trains like the stage `baseline`, in a temporary folder."""
    models = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        raw = read_yaml((ROOT / PARAMS).read_text(encoding="utf-8"))
        raw["train"]["device"] = "cpu"
        if trials is not None:
            raw["tune"]["trials"] = trials
        PARAMS.write_text(json.dumps(raw), encoding="utf-8")
        save_graph(graph, graph.facts, GRAPH)
        nothing = torch.zeros(graph.num_entities, 1)
        for path in FEATURES.values():
            save_features(FeatureTable(nothing, nothing[:, 0] > 0), graph.fingerprint, path)
        start = time.process_time()
        with contextlib.redirect_stdout(sys.stderr):
            tune.main()
        choice_seconds = time.process_time() - start
        params = load_params(PARAMS)
        chosen = read_chosen(params.model, params.train)
        model = keep_structure(settle_model(params.model, chosen))
        train = keep_structural_penalty(settle_train(params.train, chosen))
        for seed in seeds:
            start = time.process_time()
            trainer = make_trainer(
                TrainingSpec(
                    model=model,
                    fusion=NO_FUSION,
                    decision=DecisionParams(weights="equal", shrinkage=0.0),
                    train=train.model_copy(update={"seed": seed}),
                ),
                graph,
                {},
                ALONE,
            )
            progress = trainer.fit()
            seconds = time.process_time() - start
            table = rank_held_out(Scorer(trainer.model), graph, params.evaluate.batch_size)["test"]
            models.append(
                Model(seed, progress.best_epoch, progress.best_mrr, _figures(table), seconds)
            )
            _report(f"{method}, seed {seed}", models[-1])
    values = ", ".join(f"{key.partition('.')[2]} {chosen[key]}" for key in SHOWN)
    return [Row(method, values, choice_seconds, models)]


def measure_plain(graph: Graph, seeds: Sequence[int]) -> list[Row]:
    """Trains plain ComplEx-N3; ranks it with and without the query's own entity."""
    works = {f"n3 {n3}": partial(train_complex_n3, graph, n3) for n3 in N3}
    values, choice_seconds, trained = _choose_and_train(works, seeds)
    return [
        Row(
            method,
            values,
            choice_seconds,
            [
                Model(
                    seed,
                    each.epoch,
                    each.valid_mrr,
                    _figures(rank(each.model, graph, "test", leave_out_own=leave_out_own)),
                    seconds,
                )
                for seed, (each, seconds) in zip(seeds, trained, strict=True)
            ],
        )
        for method, leave_out_own in (
            ("plain ComplEx-N3", False),
            ("the same, own entity left out of the ranking", True),
        )
    ]


def measure_pykeen(name: str, graph: Graph, seeds: Sequence[int]) -> list[Row]:
    """Trains a PyKEEN model; checks its evaluator against the library's ranking."""
    works = {
        ", ".join(f"{key} {value}" for key, value in values.items()): partial(
            peers.train_pykeen, name, graph, values
        )
        for values in peers.GRIDS[name]
    }
    values, choice_seconds, [(trained, seconds)] = _choose_and_train(works, seeds[:1])
    test = peers.evaluate_pykeen(trained.model, graph)
    ours = mrr(rank(peers.score_by_pykeen(trained.model, graph.num_relations), graph, "test"))
    if abs(ours - test["mrr"]) > TOLERANCE:
        sys.exit(f"PyKEEN's evaluator gives MRR {test['mrr']}, the library's ranking {ours}")
    model = Model(seeds[0], trained.epoch, trained.valid_mrr, test, seconds)
    return [Row(f"PyKEEN's {name}", values, choice_seconds, [model])]


METHODS: Mapping[str, Callable[[Graph, Sequence[int]], list[Row]]] = {
    "auto": partial(measure_ours, "ours, `auto`", None),
    "rules": partial(measure_ours, "ours, `tune.trials: 0`", 0),
    "plain": measure_plain,
    "complex": partial(measure_pykeen, "ComplEx"),
    "tucker": partial(measure_pykeen, "TuckER"),
}


def _choose_and_train(
    works: Mapping[str, Callable[[int], Trained]], seeds: Sequence[int]
) -> tuple[str, float, list[tuple[Trained, float]]]:
    """Tries all values with the first seed, then trains the best on valid with the other seeds.

    Returns:
        The best values, the CPU seconds of all trials, and the models with their CPU seconds.
    """

    def run(values: str, seed: int) -> tuple[Trained, float]:
        start = time.process_time()
        trained = works[values](seed)
        seconds = time.process_time() - start
        model = Model(seed, trained.epoch, trained.valid_mrr, {}, seconds)
        _report(f"{values}, seed {seed}", model)
        return trained, seconds

    tried = {values: run(values, seeds[0]) for values in works}
    best = max(tried, key=lambda values: tried[values][0].valid_mrr)
    choice_seconds = sum(seconds for _, seconds in tried.values())
    return best, choice_seconds, [tried[best], *(run(best, seed) for seed in seeds[1:])]


def _figures(table: RankTable) -> dict[str, float]:
    metrics = rank_metrics(table.ranks[COMBINED], table.num_candidates)
    return {name: metrics[name] for name in ("mrr", "hits_at_1", "hits_at_10")}


def _report(what: str, model: Model) -> None:
    print(
        f"{what}: MRR {model.valid_mrr:.4f} on valid at epoch {model.epoch}, "
        f"{model.seconds:.0f} CPU s",
        file=sys.stderr,
        flush=True,
    )


def main() -> None:
    """Measures and stores each method, then prints the tables."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.small_graphs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    commit = describe_environment(CODE)["commit"]
    for name in given.names or NAMES:
        graph = read_graph(name)
        for method in given.methods:
            print(f"{name}, {method}", file=sys.stderr, flush=True)
            store(RESULTS, name, graph, METHODS[method](graph, given.seeds), commit)
    text = render(load(RESULTS))
    print(text)
    write_between_markers(DOCUMENT, MARKER, text)


if __name__ == "__main__":
    main()
