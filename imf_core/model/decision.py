"""Decision fusion, stage two (paper section 3.5): a learned weighted average of predictions."""

import torch
from torch import Tensor, nn

MAX_LOG_SHARPNESS = 5.0
"""Bound of |log tau|; beyond a factor of 148 the decision hardly changes."""


class DecisionFusion(nn.Module):
    """Weights channels on the simplex: one set for all queries, or one per query.

    `log p(t | h, r) = tau * sum_k w_k log p_k(t | h, r) + const`, the sum over the
    channels that take part in the query (`IMF.can_answer`). The others get weight zero, and the
    weights are normalised.

    The logits of a query's weights are global logits plus, where fitted, offsets for its relation
    and for the degree of its entity: for an entity with few train facts, text and image are more
    informative than structure. The sharpness has an offset by degree as well.

    Our choice: the average is over log-probabilities (a logarithmic opinion pool), so one channel
    can rule an answer out; `tau` restores the sharpness that averaging removes. The channels
    overfit train at different rates, so the weights are not trained with them but fitted
    afterwards on facts that no channel has seen (`imf_core.training.decision_fit`).

    Args:
        num_channels: H.
        num_relations: R; the inverse relations have weights of their own.
        degree_bins: Degree bin of each entity, shape: (E,), dtype: long.
        num_degree_bins: Number of degree bins.
    """

    degree_bins: Tensor

    def __init__(
        self, num_channels: int, num_relations: int, degree_bins: Tensor, num_degree_bins: int
    ) -> None:
        super().__init__()
        self.register_buffer("degree_bins", degree_bins, persistent=False)
        self.global_logits = nn.Parameter(torch.zeros(num_channels))
        self.relation_logits = nn.Parameter(torch.zeros(2 * num_relations, num_channels))
        self.degree_logits = nn.Parameter(torch.zeros(num_degree_bins, num_channels))
        self.log_sharpness = nn.Parameter(torch.zeros(()))
        self.degree_log_sharpness = nn.Parameter(torch.zeros(num_degree_bins))

    def weights(self, queries: Tensor, can_answer: Tensor) -> Tensor:
        """Returns the channel weights of each query.

        Args:
            queries: (head, relation with inverses), shape: (B, 2), dtype: long.
            can_answer: Whether a channel takes part in a query, shape: (B, H), dtype: bool.

        Returns:
            Non-negative weights that sum to one, all zero where no channel takes part,
            shape: (B, H).
        """
        entities, relations = queries.unbind(dim=1)
        by_degree = self.degree_logits[self.degree_bins[entities]]
        logits = self.global_logits + self.relation_logits[relations] + by_degree
        weights = logits.softmax(dim=1) * can_answer
        total: Tensor = weights.sum(dim=1, keepdim=True)
        return weights / total.clamp_min(torch.finfo(weights.dtype).tiny)

    def forward(self, log_probs: Tensor, queries: Tensor, can_answer: Tensor) -> Tensor:
        """Pools the channels' log-probabilities.

        Args:
            log_probs: shape: (B, H, C).
            queries: (head, relation with inverses), shape: (B, 2), dtype: long.
            can_answer: shape: (B, H), dtype: bool.

        Returns:
            Unnormalised log-probabilities of the candidates, shape: (B, C).
        """
        weights = self.weights(queries, can_answer)
        pooled = torch.einsum("bh,bhc->bc", weights, log_probs)
        # A line search may try values far out, which would overflow without the clamp.
        own = self.degree_log_sharpness[self.degree_bins[queries[:, :1]]]
        log_sharpness = self.log_sharpness + own
        return pooled * log_sharpness.clamp(-MAX_LOG_SHARPNESS, MAX_LOG_SHARPNESS).exp()
