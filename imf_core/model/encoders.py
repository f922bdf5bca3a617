"""Modality-specific encoders (paper section 3.2): one embedding space per modality.

Structure is a learned table; image and text start from frozen encoder features.
"""

import torch
from torch import Tensor, nn


class StructuralEncoder(nn.Module):
    """A learned embedding per entity.

    Deviates from the paper: no graph attention on top of the table (the released code leaves it
    off as well).

    Args:
        num_entities: E.
        dim: D.
    """

    is_present: Tensor

    def __init__(self, num_entities: int, dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(num_entities, dim)
        nn.init.normal_(self.table.weight, std=1e-3)  # near zero: Adagrad sets the scale
        self.register_buffer("is_present", torch.ones(num_entities, dtype=torch.bool), False)

    def forward(self, entity_ids: Tensor) -> Tensor:
        """Looks entities up, shape: (N,) long -> (N, D)."""
        embeddings: Tensor = self.table(entity_ids)
        return embeddings


class FeatureEncoder(nn.Module):
    """Projects frozen features of one modality into that modality's own space.

    Our choice: layer norm, then a perceptron with one hidden layer. (The released code pools raw
    features to the embedding's size and then trains them as free tables.)

    Args:
        features: Frozen encoder output, zeros where missing, shape: (E, F), dtype: float32.
        is_present: Whether the entity has the modality, shape: (E,), dtype: bool.
        hidden_dim: Width of the hidden layer.
        dim: D.
        dropout: Applied to the features and to the hidden layer.
    """

    features: Tensor
    is_present: Tensor

    def __init__(
        self, features: Tensor, is_present: Tensor, hidden_dim: int, dim: int, dropout: float
    ) -> None:
        super().__init__()
        # Inputs, not weights: kept out of the saved model.
        self.register_buffer("features", features, persistent=False)
        self.register_buffer("is_present", is_present, persistent=False)
        self.network = nn.Sequential(
            nn.LayerNorm(features.shape[1]),
            nn.Dropout(dropout),
            nn.Linear(features.shape[1], hidden_dim),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_dim, dim),
        )

    def forward(self, entity_ids: Tensor) -> Tensor:
        """Encodes entities, zeros where the modality is missing, shape: (N,) long -> (N, D)."""
        embeddings: Tensor = self.network(self.features[entity_ids])
        return embeddings * self.is_present[entity_ids].unsqueeze(1)
