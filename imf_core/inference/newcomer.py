"""One more entity for a trained model: known by its features alone, without a single fact.

The model is built once more with a further row everywhere. What was learned stays as it is; where
something would have been learned of the new entity there are zeros, which a mask keeps out of
every score: the structural embedding, and the place of an entity without image or text.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from imf_core.data.graph import Graph
from imf_core.errors import QuestionError
from imf_core.features.table import FeatureTable
from imf_core.inference.saved_model import SavedModel, build_model
from imf_core.model.imf import IMF


def add_unseen_entity(
    graph: Graph,
    tables: Mapping[str, FeatureTable],
    model: IMF,
    config: SavedModel,
    name: str,
    features: Mapping[str, Tensor],
) -> tuple[Graph, dict[str, FeatureTable], IMF]:
    """Adds an entity behind all others.

    Args:
        graph: The graph.
        tables: Its features by modality.
        model: Trained on both; left as it is.
        config: What the model is.
        name: Of the new entity, its label as well.
        features: Of the new entity by modality, shape: (F,), dtype: float32.

    Returns:
        Graph, features and model with one more entity.

    Raises:
        QuestionError: If none of the features is of use to the model.
    """
    read = [each for each in config.model.modalities if each != "structure"]
    if not set(read) & features.keys():
        raise QuestionError(
            f"the model reads {', '.join(read) or 'structure alone'}, and of the new entity there "
            f"is {', '.join(features) or 'neither image nor text'}: nothing to go by"
        )
    larger = replace(
        graph,
        entity_labels=[*graph.entity_labels, name],
        entity_names=[*graph.entity_names, name],
        entity_descriptions=[*graph.entity_descriptions, ""],
    )
    more = {modality: _append(table, features.get(modality)) for modality, table in tables.items()}
    device = next(model.parameters()).device
    grown = build_model(larger, more, config.model, config.fusion)
    shapes = {key: value.shape for key, value in grown.state_dict().items()}
    grown.load_state_dict(
        {key: _grow(value.cpu(), shapes[key]) for key, value in model.state_dict().items()}
    )
    grown.mark_unlearned(torch.tensor([graph.num_entities]))
    return larger, more, grown.to(device)


def _append(table: FeatureTable, vector: Tensor | None) -> FeatureTable:
    """Adds a row of features, or of zeros where there are none."""
    row = torch.zeros(table.vectors.shape[1]) if vector is None else vector
    return replace(
        table,
        vectors=torch.cat([table.vectors, row.unsqueeze(0)]),
        is_present=torch.cat([table.is_present, torch.tensor([vector is not None])]),
    )


def _grow(value: Tensor, shape: torch.Size) -> Tensor:
    """Adds a row of zeros to a table that has one for each entity."""
    if value.shape == shape:
        return value
    return torch.cat([value, value.new_zeros(1, *shape[1:])])
