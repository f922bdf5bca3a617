"""Modality-specific encoders (paper section 3.2): one embedding space per modality.

Structure has a learned table; image and text start from frozen encoder features.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imf_core.model.dropout import Dropout

INITIAL_NORM = 3.0
"""Initial norm of a feature embedding; logits of similar pairs then reach about nine."""


class StructuralEncoder(nn.Module):
    """A learned embedding per entity.

    Deviates from the paper: no graph attention on top of the table (the released code has none
    either).

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
        """Looks up embeddings, shape: (N,) long -> (N, D)."""
        return _look_up(
            self.table, entity_ids, has_sparse_gradient=_are_few(entity_ids, self.is_present)
        )


class FeatureEncoder(nn.Module):
    """Projects frozen features of one modality into that modality's own space.

    Our choice: frozen features are normalised by row, once; a linear map plus a perceptron with one
    hidden layer project them. The linear map starts as a scaled rotation and the perceptron near
    zero, so two entities start as similar as their features. (The released code pools raw features
    to the embedding's size and then trains them as free tables.)

    An entity without the modality can still answer a query about an entity with it, or the other
    way round (which flags have red?). It then has a vector of its own in this space, learned from
    the facts, like the weights of a class in a classifier.

    Args:
        features: Frozen encoder output, zeros where missing, shape: (E, F), dtype: float32.
        is_present: Whether the entity has the modality, shape: (E,), dtype: bool.
        hidden_dim: Width of the hidden layer.
        dim: D.
        dropout: Applied to the features and to the hidden layer.
    """

    features: Tensor
    is_present: Tensor
    absent_row: Tensor

    def __init__(
        self, features: Tensor, is_present: Tensor, hidden_dim: int, dim: int, dropout: float
    ) -> None:
        super().__init__()
        # Inputs, not weights: not part of the saved model.
        normalized = F.layer_norm(features, features.shape[1:])
        self.register_buffer("features", normalized, persistent=False)
        self.register_buffer("is_present", is_present, persistent=False)
        absent_row = (~is_present).cumsum(0).sub(1).clamp_min(0)
        self.register_buffer("absent_row", absent_row, persistent=False)
        feature_dim = features.shape[1]
        self.dropout = Dropout(dropout)
        self.linear = nn.Linear(feature_dim, dim, bias=False)
        nn.init.orthogonal_(self.linear.weight, gain=INITIAL_NORM / feature_dim**0.5)
        output = nn.Linear(hidden_dim, dim)
        nn.init.normal_(output.weight, std=1e-2 * hidden_dim**-0.5)
        nn.init.zeros_(output.bias)
        self.perceptron = nn.Sequential(
            nn.Linear(feature_dim, hidden_dim), nn.ReLU(), Dropout(dropout), output
        )
        self.absent = nn.Embedding(max(1, int((~is_present).sum())), dim)
        nn.init.normal_(self.absent.weight, std=1e-3)

    def forward(self, entity_ids: Tensor) -> Tensor:
        """Encodes entities, shape: (N,) long -> (N, D)."""
        inputs = self.dropout(self.features[entity_ids])
        encoded = self.linear(inputs) + self.perceptron(inputs)
        present = self.is_present[entity_ids].unsqueeze(1)
        are_few = _are_few(entity_ids, self.is_present)
        absent = _look_up(self.absent, self.absent_row[entity_ids], has_sparse_gradient=are_few)
        return torch.where(present, encoded, absent)


def _are_few(entity_ids: Tensor, all_entities: Tensor) -> bool:
    """Returns whether a sparse gradient of these rows is cheaper than a dense one."""
    return entity_ids.device.type == "cpu" and 2 * len(entity_ids) < len(all_entities)


def _look_up(table: nn.Embedding, rows: Tensor, *, has_sparse_gradient: bool) -> Tensor:
    """Looks up rows, shape: (N,) -> (N, D); a sparse gradient holds these rows alone."""
    return F.embedding(rows, table.weight, sparse=has_sparse_gradient)
