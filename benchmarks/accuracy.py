"""Accuracy of methods on data sets: parameters, stored figures, and their table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import yaml

from imf_core.base.artifacts import read_json, write_json
from imf_core.base.config import SettledParams
from imf_core.base.sections import validate
from imf_core.graph.graph import Graph
from imf_core.graph.labels import SPLITS
from recipes.environment import make_table

ROOT = Path(__file__).parents[1]

GIVEN: Mapping[str, object] = {
    "model.modalities": ["structure", "image", "text"],
    "model.dim": 128,
    "model.encoder_dim": None,
    "model.hidden_dim": 256,
    "model.dropout": 0.1,
    "model.head_dropout": 0.1,
    "fusion.form": "full",
    "fusion.residual": False,
    "fusion.complement": False,
    "fusion.detach": False,
    "fusion.contrastive_weight": 0.05,
    "train.epochs": 100,
    "train.batch_size": 128,
    "train.positives_per_row": 32,
    "train.sampled_candidates": 0,
    "train.embedding_learning_rate": 0.1,
    "train.network_learning_rate": 2e-3,
    "train.n3": 0.1,
    "train.encoder_n3": 0.05,
    "train.fused_n3": 0.05,
    "train.relation_weight": 0.0,
    "train.validate_every": 5,
    "train.patience": 12,
}
"""Fixed values in place of `auto` and of newer defaults, so the size of a step is known."""

DENSE: Mapping[str, object] = {
    "model.context": "dense",
    "model.dim": 256,
    "model.relation_dim": 256,
    "model.dropout": 0.2,
    "model.head_dropout": 0.2,
    "fusion.rank": 2,
    "fusion.dropout": 0.2,
    "fusion.contrastive_weight": 0.0,
    "train.loss": "binary-cross-entropy",
    "train.label_smoothing": 0.1,
    "train.n3": 0.0,
    "train.encoder_n3": 0.0,
    "train.fused_n3": 0.0,
    "train.batch_size": 1024,
}
"""The paper's model at its size: four channels, each with a full matrix per relation."""

DENSE_256: Mapping[str, object] = {**DENSE, "train.batch_size": 256}
"""`DENSE` with the batches of the textbook."""

DENSE_SMALL: Mapping[str, object] = {**DENSE, "model.relation_dim": 64}
"""`DENSE` with relation vectors of the default size, and a core a quarter as large."""

ONE_HEAD: Mapping[str, object] = {**DENSE, "model.modalities": ["structure"]}
"""The dense model without images, texts and fusion: TuckER."""

LARGE: Mapping[str, object] = {"train.batch_size": 1024}
"""The default recipe with the batches of a larger graph; every entity is scored."""

LARGE_SAMPLED: Mapping[str, object] = {**LARGE, "train.sampled_candidates": 2000}
"""`LARGE` with scores only for the batch's entities and a sample."""


def read_params(recipe: Mapping[str, object]) -> SettledParams:
    """Reads `params.yaml` and puts the values of a recipe ("section.key") on top of `GIVEN`."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    sections = ("image_features", "text_features", "train", "evaluate")
    device = {f"{section}.device": "cpu" for section in sections}
    for dotted, value in {**GIVEN, **recipe, **device}.items():
        section, key = dotted.split(".")
        raw[section][key] = value
    return validate(SettledParams, raw, "params of a benchmark")


Stored = dict[str, dict[str, Any]]
"""Sizes and rows by method of each data set, by its name."""


@dataclass(frozen=True)
class Model:
    """A trained model.

    Attributes:
        seed: Seed of the training.
        epoch: The selected epoch.
        valid_mrr: MRR on valid at that epoch.
        test: `mrr`, `hits_at_1` and `hits_at_10` on test.
        seconds: CPU seconds of the training, including validation.
    """

    seed: int
    epoch: int
    valid_mrr: float
    test: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class Row:
    """A method on a data set.

    Attributes:
        method: Its name in the table.
        values: The values chosen for the data set, as text.
        choice_seconds: CPU seconds of all trials.
        models: One per seed.
    """

    method: str
    values: str
    choice_seconds: float
    models: Sequence[Model]


def store(path: Path, name: str, graph: Graph, rows: Iterable[Row], commit: str) -> None:
    """Stores rows, replacing those of the same data set and method."""
    stored = load(path)
    sizes = [graph.num_entities, graph.num_relations]
    sizes += [len(graph.triples[split]) for split in SPLITS]
    old = stored[name]["rows"] if name in stored else {}
    new = {row.method: {**asdict(row), "commit": commit} for row in rows}
    write_json(path, {**stored, name: {"sizes": sizes, "rows": old | new}})


def load(path: Path) -> Stored:
    """Reads the stored rows, empty if there is no file."""
    stored: Stored = read_json(path) if path.exists() else {}
    return stored


def render(stored: Stored) -> str:
    """Renders a table for each data set: means over the seeds, in per cent."""
    titles = ["", "MRR", "Hits@1", "Hits@10", "MRR on valid", "seeds", "CPU s, choice"]
    titles += ["CPU s, training", "chosen values; selected epoch", "commit"]
    sections = []
    for name, content in stored.items():
        entities, relations, *facts = content["sizes"]
        head = f"**{name}**: {entities:,} entities, {relations:,} relations, "
        head += " / ".join(f"{count:,}" for count in facts) + " facts of train / valid / test."
        rows = [_cells(row) for row in content["rows"].values()]
        sections.append("\n".join([head, "", *make_table(titles, rows)]))
    return "\n\n".join(sections)


def _cells(row: Mapping[str, Any]) -> list[str]:
    models = row["models"]
    return [
        row["method"],
        *(
            _percent(model["test"][key] for model in models)
            for key in ("mrr", "hits_at_1", "hits_at_10")
        ),
        _percent(model["valid_mrr"] for model in models),
        ", ".join(str(model["seed"]) for model in models),
        f"{row['choice_seconds']:.0f}",
        f"{mean(model['seconds'] for model in models):.0f}",
        f"{row['values']}; {', '.join(str(model['epoch']) for model in models)}",
        row["commit"],
    ]


def _percent(values: Iterable[float]) -> str:
    numbers = [100 * value for value in values]
    deviation = f" ± {stdev(numbers):.1f}" if len(numbers) > 1 else ""
    return f"{mean(numbers):.1f}{deviation}"
