"""Decision fusion, stage two (paper section 3.5): a learned weighted average of predictions."""

import torch
from torch import Tensor, nn

MAX_LOG_SHARPNESS = 5.0
"""Bound of the logarithm of `tau`: sharpened or blurred 148 times, all is said."""


class DecisionFusion(nn.Module):
    """Weights on the simplex, one set for all relations or one per relation.

    `log p(t | h, r) = tau * sum_k w_k log p_k(t | h, r) + const`, the sum over the heads that
    take part in the query (`IMF.can_answer`): any other head gets weight zero, and those share its
    part.

    Our choice: the average is taken over log-probabilities (a logarithmic opinion pool), so that
    a head that knows an answer to be impossible is heard; `tau` restores the sharpness that
    averaging takes away. The weights are not trained with the heads, which overfit train at
    different rates, but fitted afterwards on facts that no head has seen: `imf_core.training`.

    Args:
        num_heads: H.
        num_relations: R; the inverse relations have weights of their own.
    """

    def __init__(self, num_heads: int, num_relations: int) -> None:
        super().__init__()
        self.global_logits = nn.Parameter(torch.zeros(num_heads))
        self.relation_logits = nn.Parameter(torch.zeros(2 * num_relations, num_heads))
        self.log_sharpness = nn.Parameter(torch.zeros(()))

    def weights(self, relations: Tensor, can_answer: Tensor) -> Tensor:
        """Returns each query's weights.

        Args:
            relations: Relation ids with inverses, shape: (B,), dtype: long.
            can_answer: Whether a head can answer a query, shape: (B, H), dtype: bool.

        Returns:
            Non-negative weights that sum to one, all zero where no head can answer,
            shape: (B, H).
        """
        logits = self.global_logits + self.relation_logits[relations]
        weights = logits.softmax(dim=1) * can_answer
        total: Tensor = weights.sum(dim=1, keepdim=True)
        return weights / total.clamp_min(torch.finfo(weights.dtype).tiny)

    def forward(self, log_probs: Tensor, relations: Tensor, can_answer: Tensor) -> Tensor:
        """Pools the heads' log-probabilities.

        Args:
            log_probs: shape: (B, H, C).
            relations: shape: (B,), dtype: long.
            can_answer: shape: (B, H), dtype: bool.

        Returns:
            Unnormalised log-probabilities of the candidates, shape: (B, C).
        """
        weights = self.weights(relations, can_answer)
        pooled = torch.einsum("bh,bhc->bc", weights, log_probs)
        # Far out, where a line search may look, it would overflow.
        return pooled * self.log_sharpness.clamp(-MAX_LOG_SHARPNESS, MAX_LOG_SHARPNESS).exp()
