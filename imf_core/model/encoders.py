"""Encoders and contexts of the channels (paper sections 3.2 and 3.4).

The structural channel has a learned table; the visual and textual ones start from frozen features.
A context turns (head embedding, relation) into a context vector; its dot product with an entity
embedding is the logit of that entity as the tail: `z(h, r, t) = (e_h C(r)) . e_t`.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imf_core.base.device import to_device
from imf_core.model.kernels import Dropout, multiply_groups

INITIAL_NORM = 3.0
"""Initial norm of a feature embedding; logits of similar pairs then reach about nine."""

LARGE_GRAPH = 50_000
"""Smallest number of entities from which a channel skips entities without its modality. Skipping
changes the last digits."""


class StructuralEncoder(nn.Module):
    """A learned embedding per entity.

    Deviates from the paper: no graph attention on top of the table (the released code has none
    either).

    Args:
        num_entities: E.
        dim: D.
    """

    def __init__(self, num_entities: int, dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(num_entities, dim)
        nn.init.normal_(self.table.weight, std=1e-3)  # near zero: Adagrad sets the scale

    def forward(self, entity_ids: Tensor) -> Tensor:
        """Looks up embeddings, shape: (N,) long -> (N, D)."""
        are_few = _are_few(entity_ids, len(self.table.weight))
        return _look_up(self.table, entity_ids, has_sparse_gradient=are_few)


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
        is_present = self.is_present[entity_ids]
        are_few = _are_few(entity_ids, len(self.is_present))
        absent = _look_up(self.absent, self.absent_row[entity_ids], has_sparse_gradient=are_few)
        if self._is_rare(is_present):
            rows = is_present.nonzero().flatten()
            return absent.index_copy(0, rows, self._encode(entity_ids[rows]))
        return torch.where(is_present.unsqueeze(1), self._encode(entity_ids), absent)

    def _encode(self, entity_ids: Tensor) -> Tensor:
        """Projects the features of entities, shape: (N,) long -> (N, D)."""
        inputs = self.dropout(self.features[entity_ids])
        encoded: Tensor = self.linear(inputs) + self.perceptron(inputs)
        return encoded

    def _is_rare(self, is_present: Tensor) -> bool:
        """Returns whether to encode only the rows with the modality: few rows of a large graph.

        A GPU would wait for their number.
        """
        is_large = is_present.device.type == "cpu" and len(self.is_present) >= LARGE_GRAPH
        return is_large and 2 * int(is_present.sum()) < len(is_present)


def _are_few(entity_ids: Tensor, num_entities: int) -> bool:
    """Returns whether a sparse gradient of these rows is cheaper than a dense one."""
    return entity_ids.device.type == "cpu" and 2 * len(entity_ids) < num_entities


def _look_up(table: nn.Embedding, rows: Tensor, *, has_sparse_gradient: bool) -> Tensor:
    """Looks up rows, shape: (N,) -> (N, D); a sparse gradient holds these rows alone."""
    return F.embedding(rows, table.weight, sparse=has_sparse_gradient)


class Context(Protocol):
    """Interface of a context form."""

    def __call__(self, heads: Tensor, relation_table: Tensor, relations: Tensor) -> Tensor:
        """Transforms head embeddings by relations.

        Args:
            heads: shape: (B, D).
            relation_table: shape: (2R, D_r).
            relations: Always on the CPU, since the number of queries per relation must be known
                before the computation, shape: (B,), dtype: long.

        Returns:
            shape: (B, D).
        """
        ...

    def moduli(self, factors: Tensor) -> Tensor:
        """Returns the magnitudes the N3 penalty cubes, shape: (N, D) -> (N, D or D / 2)."""
        ...


class BlockDiagonalContext(nn.Module):
    """`C(r)` of 2 x 2 rotation-scalings, D_r = D; the score is that of ComplEx.

    Our choice, a cheap special case of the dense form: D parameters per relation in place of a
    shared D_r x D x D core (Trouillon et al., ICML 2016, arXiv 1606.06357).
    """

    def forward(self, heads: Tensor, relation_table: Tensor, relations: Tensor) -> Tensor:
        """Multiplies complex numbers coordinate by coordinate; see `Context`."""
        real, imaginary = heads.chunk(2, dim=1)
        contexts = relation_table.index_select(0, to_device(relations, heads.device))
        context_real, context_imaginary = contexts.chunk(2, dim=1)
        return torch.cat(
            [
                real * context_real - imaginary * context_imaginary,
                real * context_imaginary + imaginary * context_real,
            ],
            dim=1,
        )

    @staticmethod
    def pair(heads: Tensor, tails: Tensor) -> Tensor:
        """Returns vectors `pair` such that `r . pair` is the score `(e_h C(r)) . e_t`.

        Args:
            heads: shape: (P, D).
            tails: shape: (P, D).

        Returns:
            shape: (P, D).
        """
        real, imaginary = heads.chunk(2, dim=1)
        tail_real, tail_imaginary = tails.chunk(2, dim=1)
        return torch.cat(
            [
                real * tail_real + imaginary * tail_imaginary,
                real * tail_imaginary - imaginary * tail_real,
            ],
            dim=1,
        )

    def moduli(self, factors: Tensor) -> Tensor:
        """Returns the complex moduli, shape: (N, D) -> (N, D / 2)."""
        real, imaginary = factors.chunk(2, dim=1)
        # The small constant keeps the gradient of the root finite at zero.
        return (real.square() + imaginary.square() + 1e-12).sqrt()


class DenseContext(nn.Module):
    """`C(r) = core x_1 r`, a full D x D matrix per relation, as in TuckER and the released code.

    Queries are grouped by relation, so memory holds one matrix per distinct relation of the batch,
    not one per query. Groups of similar size are multiplied together.

    Args:
        relation_dim: D_r.
        dim: D.
    """

    def __init__(self, relation_dim: int, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.core = nn.Parameter(torch.empty(relation_dim, dim * dim))
        nn.init.normal_(self.core, std=(relation_dim * dim) ** -0.5)

    def forward(self, heads: Tensor, relation_table: Tensor, relations: Tensor) -> Tensor:
        """Multiplies each group of queries by the matrix of its relation; see `Context`."""
        distinct, group, sizes = relations.unique(return_inverse=True, return_counts=True)
        sizes, by_size = sizes.sort(stable=True)
        order = by_size.argsort()[group].argsort(stable=True)
        vectors = relation_table.index_select(0, to_device(distinct[by_size], heads.device))
        contexts = (vectors @ self.core).view(-1, self.dim, self.dim)
        # Under autocast, products have another dtype than the heads.
        sorted_heads = heads.index_select(0, to_device(order, heads.device)).to(contexts.dtype)
        products = multiply_groups(sorted_heads, contexts, sizes)
        return products.index_select(0, to_device(order.argsort(), heads.device))

    def moduli(self, factors: Tensor) -> Tensor:
        """Returns absolute values, shape: (N, D) -> (N, D)."""
        return factors.abs()


class Channel(nn.Module):
    """One of the scorers: a context form, and masks of the queries that it takes part in.

    Args:
        form: The form of C(r).
        dropout: Applied to the head embedding and to the context vector.
        is_present: Whether the entity has the channel's modality, for `fused` any of them, shape:
            (E,), dtype: bool.
        is_in_answers: Whether most answers of a relation in train have the modality, false for
            `structural` and `fused`, shape: (2R,), dtype: bool.
    """

    is_present: Tensor
    is_in_answers: Tensor

    def __init__(
        self, form: Context, dropout: float, is_present: Tensor, is_in_answers: Tensor
    ) -> None:
        super().__init__()
        self.form = form
        self.dropout = Dropout(dropout)
        self.register_buffer("is_present", is_present, persistent=False)
        self.register_buffer("is_in_answers", is_in_answers, persistent=False)

    def context(self, heads: Tensor, relation_table: Tensor, relations: Tensor) -> Tensor:
        """Returns context vectors `e_h C(r)`, shape: (B, D), (2R, D_r), (B,) -> (B, D).

        See `Context` for the arguments.
        """
        vectors: Tensor = self.dropout(self.form(self.dropout(heads), relation_table, relations))
        return vectors

    def takes_part(self, queries: Tensor, is_learned: Tensor) -> Tensor:
        """Returns which queries the channel takes part in.

        Args:
            queries: (head, relation with inverses), shape: (B, 2), dtype: long.
            is_learned: Whether an entity has train facts, shape: (E,), dtype: bool.

        Returns:
            shape: (B,), dtype: bool.
        """
        heads, relations = queries.unbind(dim=1)
        return self.is_present[heads] | (self.is_in_answers[relations] & is_learned[heads])


class ModalityChannel(Channel):
    """A channel with embeddings of its own: all but the fused one.

    Args:
        form: See `Channel`.
        dropout: See `Channel`.
        is_present: See `Channel`.
        is_in_answers: See `Channel`.
        encoder: Embeds entities, shape: (N,) long -> (N, D).
        relations: Embeddings of relations and inverses, shape: (2R, D_r).
    """

    def __init__(
        self,
        form: Context,
        dropout: float,
        is_present: Tensor,
        is_in_answers: Tensor,
        encoder: StructuralEncoder | FeatureEncoder,
        relations: nn.Parameter,
    ) -> None:
        super().__init__(form, dropout, is_present, is_in_answers)
        self.encoder = encoder
        self.relations = relations
