"""Compares image features: `python -m recipes.pictures FILE.parquet`.

Trains the workspace's model as the stage `train` does, without paths: with the image features of
the workspace, and with those of a file of ready vectors (`image_features.precomputed`). Prints
filtered MRR of the visual channel over the questions about entities with a picture, and of the
decision over all questions, on valid and test, and the gain on test. The parameters are those of
params.yaml and `results/tuning/chosen.json`, the same for both.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imf_core.base.artifacts import file_sha256
from imf_core.base.modality import PrecomputedParams
from imf_core.base.params_file import load_params
from imf_core.evaluation.ranking import COMBINED, RankTable
from imf_core.features.shared.precomputed import write_precomputed_features
from imf_core.graph.feature_table import FeatureTable, load_features
from imf_core.graph.graph import Graph
from imf_core.model.scorer import Scorer
from recipes.environment import make_table
from recipes.store import compute_gain, of_fact
from recipes.suspects import train_model
from stages.evaluate import rank_held_out
from stages.inputs import load_inputs
from stages.paths import GRAPH, PARAMS
from stages.runner import run_stage

VISUAL = "visual"
SPLITS = ("valid", "test")

Ranked = dict[str, RankTable]
"""Ranks by split."""


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        "python -m recipes.pictures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE.parquet", help="ready vectors")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", default=[0, 1, 2])
    given = parser.parse_args()
    graph, tables = load_inputs()
    if not bool(tables["image"].is_present.any()):
        parser.error("no entity of the workspace has image features; prepare a graph with pictures")
    features = {
        tables["image"].provenance.get("model", "workspace"): tables["image"],
        given.file.name: read_features(given.file, graph),
    }
    params = load_params(PARAMS)
    found: dict[str, list[Ranked]] = {name: [] for name in features}
    seconds: dict[str, list[float]] = {name: [] for name in features}
    for seed in given.seeds:
        for name, table in features.items():
            start = time.process_time()
            trainer = train_model(graph, {**tables, "image": table}, params, seed)
            seconds[name].append(time.process_time() - start)
            if VISUAL not in trainer.model.channel_names:
                parser.error("the model has no visual channel; list image in model.modalities")
            ranked = rank_held_out(Scorer(trainer.model), graph, params.evaluate.batch_size)
            found[name].append(ranked)
            mrr = {
                split: [f"{100 * each:.2f}" for each in _mrr(ranked[split], table)]
                for split in SPLITS
            }
            print(f"seed {seed}, {name}: visual, full {mrr}", file=sys.stderr, flush=True)
    print("\n".join(format_rows(given.seeds, features, found, seconds)))


def read_features(path: Path, graph: Graph) -> FeatureTable:
    """Reads a file of ready vectors as the stage of image features does.

    Args:
        path: Parquet or `.npy`.
        graph: The workspace's graph.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "image.parquet"
        pinned = PrecomputedParams(path=str(path), sha256=file_sha256(path))
        write_precomputed_features("image_features", GRAPH / "entities.parquet", pinned, output)
        return load_features(output, graph.fingerprint)


def format_rows(
    seeds: Sequence[int],
    features: Mapping[str, FeatureTable],
    found: Mapping[str, Sequence[Ranked]],
    seconds: Mapping[str, Sequence[float]],
) -> list[str]:
    """Formats the table, the gains over the first row.

    Args:
        seeds: Seeds of the trainings.
        features: Image features by name.
        found: Ranks by name, then seed.
        seconds: Processor seconds of the trainings, likewise.
    """
    names = list(features)
    rows = []
    for name in names:
        visual, full = (
            [
                _format([_mrr(ranked[split], features[name])[place] for ranked in found[name]])
                for split in SPLITS
            ]
            for place in (0, 1)
        )
        gain = "" if name == names[0] else _format_gain(seeds, found[names[0]], found[name])
        entities = str(int(features[name].is_present.sum()))
        cost = f"{np.mean(seconds[name]):.0f}"
        width = str(features[name].vectors.shape[1])
        rows.append([f"`{name}`", entities, width, *visual, *full, gain, cost])
    titles = ["image features", "entities", "numbers"]
    titles += [f"{what}, {split}" for what in ("visual", "full") for split in SPLITS]
    return make_table([*titles, "gain of full on test [95 %]", "processor s"], rows)


def _mrr(table: RankTable, features: FeatureTable) -> tuple[float, float]:
    """Returns MRR of the visual channel for entities with a picture, and of the decision."""
    takes_part = features.is_present.numpy()[table.queries[:, 0]]
    visual = (1 / table.ranks[VISUAL][takes_part]).mean()
    return float(visual), float((1 / table.ranks[COMBINED]).mean())


def _format(values: Sequence[float]) -> str:
    scaled = 100 * np.array(values)
    return f"{scaled.mean():.1f}" + (f" ± {scaled.std(ddof=1):.1f}" if len(values) > 1 else "")


def _format_gain(seeds: Sequence[int], before: Sequence[Ranked], after: Sequence[Ranked]) -> str:
    differences = [
        of_fact(_inverse_ranks(new), _inverse_ranks(old))
        for old, new in zip(before, after, strict=True)
    ]
    pooled = compute_gain(list(seeds), differences)["pooled"]
    mean, low, high = (100 * value for value in pooled.values())
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


def _inverse_ranks(ranked: Ranked) -> NDArray[np.float32]:
    return np.asarray(1 / ranked["test"].ranks[COMBINED], dtype=np.float32)


if __name__ == "__main__":
    run_stage(main)
