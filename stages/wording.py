"""What `ask`, `export` and `show` share: the trained model and the format of answers."""

from collections.abc import Mapping
from pathlib import Path

from imf_core.base.config import load_params
from imf_core.base.device import resolve_device
from imf_core.features.unseen_features import encode_new_image, encode_new_text
from imf_core.graph.feature_table import load_features
from imf_core.inference.completer import Completer, load_completer
from imf_core.inference.fact_table import NEW
from stages.paths import (
    FEATURES,
    GRAPH,
    IMAGE_FEATURES,
    IMAGES,
    MEDIA,
    MODEL,
    PARAMS,
    TEXT_FEATURES,
)

SMALLEST_SHARE = 0.005
"""Smaller shares would be printed as 0 %."""


LONGEST_NAME = 80
"""Characters of a name that are printed, at most."""


def shorten(name: str) -> str:
    """Cuts a long name."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..."


def format_split(known_in: str) -> str:
    """Formats the split of a fact: `new`, or `true (valid)`."""
    return known_in if known_in == NEW else f"true ({known_in})"


def format_channel_shares(shares: Mapping[str, float]) -> str:
    """Formats channel shares: `structural 41% textual 59%`.

    Args:
        shares: Shares by channel; their sum is one.
    """
    return " ".join(
        f"{channel} {share:.0%}" for channel, share in shares.items() if share >= SMALLEST_SHARE
    )


UNNAMED = "the new entity"


def load_workspace_completer() -> Completer:
    """Loads the model of the last run on the device of section `predict`."""
    params = load_params(PARAMS).predict
    device = resolve_device(params.device, "predict.device")
    return load_completer(GRAPH, MODEL, FEATURES, device)


def add_unseen_entity(
    completer: Completer, name: str, description: str, image: Path | None
) -> Completer:
    """Returns a completer with an unseen entity, encoded from its description and image.

    Args:
        completer: From `load_workspace_completer`.
        name: Name of the entity, also part of its text; "" for none.
        description: Description of the entity, "" for none.
        image: Path of an image, None for none.
    """
    params = load_params(PARAMS)
    entities, fingerprint = GRAPH / "entities.parquet", completer.graph.fingerprint
    features = {}
    if description:
        features["text"] = encode_new_text(
            name,
            description,
            entities,
            MEDIA / "descriptions.parquet",
            params.text_features,
            load_features(TEXT_FEATURES, fingerprint),
        )
    if image is not None:
        features["image"] = encode_new_image(
            image,
            entities,
            IMAGES,
            params.images,
            params.image_features,
            load_features(IMAGE_FEATURES, fingerprint),
        )
    return completer.with_unseen_entity(name or UNNAMED, features)
