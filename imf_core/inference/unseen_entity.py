"""Adds an unseen entity to a trained model: it has features, but no facts.

The model is rebuilt with one more row per table of entities. Learned weights stay the same. The new
rows (structural embedding, embedding of an entity without image or text) are zeros, and a mask
keeps them out of every score.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from imf_core.base.errors import QuestionError
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.model.imf import IMF
from imf_core.model.saved import SavedModel, build_model


def add_unseen_entity(
    graph: Graph,
    tables: Mapping[str, FeatureTable],
    model: IMF,
    config: SavedModel,
    name: str,
    features: Mapping[str, Tensor],
) -> tuple[Graph, dict[str, FeatureTable], IMF]:
    """Adds an entity after all others.

    Args:
        graph: The graph.
        tables: Its features by modality.
        model: Trained on both; left as it is.
        config: Configuration of the model.
        name: Name and label of the unseen entity.
        features: Features of the unseen entity by modality, shape: (F,), dtype: float32.

    Returns:
        Graph, features and model with one more entity.

    Raises:
        QuestionError: If the model reads none of the features.
    """
    read = [each for each in config.model.modalities if each != "structure"]
    if not set(read) & features.keys():
        raise QuestionError(
            f"the model reads {', '.join(read) or 'structure alone'}, but the new entity "
            f"has {', '.join(features) or 'neither image nor text'}"
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
    """Appends a row of features, or zeros without features."""
    row = torch.zeros(table.vectors.shape[1]) if vector is None else vector
    return replace(
        table,
        vectors=torch.cat([table.vectors, row.unsqueeze(0)]),
        is_present=torch.cat([table.is_present, torch.tensor([vector is not None])]),
    )


def _grow(value: Tensor, shape: torch.Size) -> Tensor:
    """Appends a row of zeros to a table with one row per entity."""
    if value.shape == shape:
        return value
    return torch.cat([value, value.new_zeros(1, *shape[1:])])
