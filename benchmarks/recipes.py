"""Parameters of the benchmarks: `params.yaml` with the values of a recipe on top."""

from collections.abc import Mapping
from pathlib import Path

from imf_core.config import SettledParams
from imf_core.typed_yaml import read_yaml, validate

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
    raw = read_yaml((ROOT / "params.yaml").read_text(encoding="utf-8"))
    sections = ("image_features", "text_features", "train", "evaluate")
    device = {f"{section}.device": "cpu" for section in sections}
    for dotted, value in {**GIVEN, **recipe, **device}.items():
        section, key = dotted.split(".")
        raw[section][key] = value
    return validate(SettledParams, raw, "params of a benchmark")
