"""Rows of a data set's table: each overrides some values of the set's recipe.

A set does not have a row that needs a modality the recipe lacks, or that does not differ from the
recipe.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from imf_core.base.config import Params
from imf_core.base.errors import ConfigError
from imf_core.base.sections import AUTO
from recipes.recipe import Overrides

FULL, STRUCTURE, TWO_STRUCTURES = "full", "structure", "two-structures"
"""Rows compared by gains."""

SEEDS_APART = 1000
"""Difference between the seeds of the models of one row."""

_NO_FUSED_CHANNEL = {"fusion.rank": 0}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: Name for `--row`.
        title: Title in the table.
        part: The table of the row.
        overrides: Values on top of the recipe, by `section.key`.
        num_models: Number of models under one decision; their seeds are `SEEDS_APART`.
    """

    name: str
    title: str
    part: Literal["main", "control", "ablation"]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    num_models: int = 1


def _alone(modality: str) -> Row:
    return Row(modality, modality, "main", {"model.modalities": [modality]})


def _side_by_side(*modalities: str) -> Row:
    overrides = {"model.modalities": list(modalities), **_NO_FUSED_CHANNEL}
    return Row(
        "-".join(modalities), f"{' + '.join(modalities)}, no fused channel", "main", overrides
    )


def _rank(rank: int) -> Row:
    return Row(f"rank-{rank}", f"fusion of rank {rank}", "ablation", {"fusion.rank": rank})


PAPER: Mapping[str, Any] = {
    "model.context": "dense",
    "model.dim": 256,
    "model.encoder_dim": None,
    "model.relation_dim": 256,
    "model.head_dropout": 0.3,
    "fusion.form": "full",
    "fusion.rank": 2,
    "fusion.dropout": 0.2,
    "fusion.residual": False,
    "fusion.complement": False,
    "fusion.detach": False,
    "fusion.contrastive_weight": 0.05,
    "decision.weights": "global",
    "train.loss": "binary-cross-entropy",
    "train.label_smoothing": 0.1,
    "train.batch_size": 256,
    "train.sampled_candidates": 0,
    "train.network_learning_rate": 5e-4,
    "train.average_decay": 0.0,
    "train.n3": 0.0,
    "train.encoder_n3": 0.0,
    "train.fused_n3": 0.0,
    "train.relation_weight": 0.0,
}
"""The paper's setting: the defaults of its released code as far as this model has them, except for
two: as in the paper, the decision is learned, where the code averages with fixed weights, and the
contrastive term is on, which the code never calls."""

ROWS = (
    _alone("structure"),
    _alone("text"),
    _alone("image"),
    _side_by_side("structure", "text"),
    _side_by_side("structure", "image"),
    _side_by_side("structure", "image", "text"),
    Row(FULL, "full IMF", "main"),
    Row("paper", "full IMF in the paper's setting", "main", PAPER),
    Row(
        TWO_STRUCTURES,
        "two structural models, one decision",
        "control",
        {"model.modalities": ["structure"]},
        num_models=2,
    ),
    Row(
        "two-unfused",
        "two models without fused channel, one decision",
        "control",
        _NO_FUSED_CHANNEL,
        num_models=2,
    ),
    Row("narrow", "narrow form of the fusion", "ablation", {"fusion.form": "narrow"}),
    Row(
        "narrow-no-contrastive",
        "narrow form of the fusion, no contrastive term",
        "ablation",
        {"fusion.form": "narrow", "fusion.contrastive_weight": 0.0},
    ),
    Row(
        "narrow-complement",
        "narrow form, no contrastive term, trained on what image and text leave open",
        "ablation",
        {
            "fusion.form": "narrow",
            "fusion.contrastive_weight": 0.0,
            "fusion.complement": True,
        },
    ),
    Row("no-contrastive", "no contrastive term", "ablation", {"fusion.contrastive_weight": 0.0}),
    Row("no-masks", "missing media not masked", "ablation", {"model.mask_missing": False}),
    Row("mean", "fixed mean of the channels", "ablation", {"decision.weights": "equal"}),
    Row("no-residual", "no free vector of fused entities", "ablation", {"fusion.residual": False}),
    *map(_rank, (1, 2, 8, 64)),
)


def find_row(name: str) -> Row:
    """Returns a row by its name.

    Raises:
        ConfigError: If there is no such row.
    """
    for row in ROWS:
        if row.name == name:
            return row
    raise ConfigError(f"there is no row {name!r}, there are {', '.join(row.name for row in ROWS)}")


def is_row_of(row: Row, recipe: Params) -> bool:
    """Returns whether a data set has a row.

    Args:
        row: The row.
        recipe: The set's recipe applied to params.yaml.
    """
    if row.name == FULL:
        return True
    given = recipe.model.modalities
    present = ["structure", "image", "text"] if given == AUTO else given
    if not set(row.overrides.get("model.modalities", present)) <= set(present):
        return False
    concerns_fusion = all(key.startswith("fusion.") for key in row.overrides)
    if len(present) == 1 and (row.part == "ablation" or concerns_fusion):
        return False  # no fusion with one modality
    values = recipe.model_dump()
    return row.num_models > 1 or any(
        values[key.split(".")[0]][key.split(".")[1]] != value
        for key, value in row.overrides.items()
    )


def overrides_of(recipe: Overrides, row: Row, seed: int | None = None) -> Overrides:
    """Returns the values of a row: the recipe's, overridden by the row's and the seed."""
    of_seed = {} if seed is None else {"train.seed": seed}
    return {**recipe, **row.overrides, **of_seed}
