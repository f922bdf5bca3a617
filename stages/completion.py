"""Loads the workspace's trained model and adds unseen entities to it."""

from pathlib import Path

from imf_core.config import load_params
from imf_core.device import resolve_device
from imf_core.features.table import load_features
from imf_core.features.unseen import encode_new_image, encode_new_text
from imf_core.inference.completer import Completer, load_completer
from stages.layout import (
    FEATURES,
    GRAPH,
    IMAGE_FEATURES,
    IMAGES,
    MEDIA,
    MODEL,
    PARAMS,
    TEXT_FEATURES,
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
