"""Decision fusion (paper section 3.5), a learned weighted average, and its calibration.

The decision is fitted to rank, and its softmax spreads one unit of probability over all entities,
known answers included. Calibration compares each possible answer with its rivals alone, then scales
and shifts the log-odds by two numbers fitted on held-out facts (Platt scaling). Tabacof and
Costabello (ICLR 2020, arXiv 1912.10000) and Safavi, Koutra and Meij (EMNLP 2020, arXiv 2004.01168)
show that link predictors need calibration and that two numbers do much of it.
"""

from functools import cached_property

import torch
from torch import Tensor, nn

from imf_core.base.sections import Section

MAX_LOG_SHARPNESS = 5.0
"""Bound of |log tau|; beyond a factor of 148 the decision hardly changes."""


class DecisionFusion(nn.Module):
    """Weights channels on the simplex: one set for all queries, or one per query.

    `log p(t | h, r) = tau * sum_k w_k log p_k(t | h, r) + const`, the sum over the
    channels that take part in the query (`IMF.takes_part`). The others get weight zero, and the
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

    def weights(self, queries: Tensor, takes_part: Tensor) -> Tensor:
        """Returns the channel weights of each query.

        Args:
            queries: (head, relation with inverses), shape: (B, 2), dtype: long.
            takes_part: Whether a channel takes part in a query, shape: (B, H), dtype: bool.

        Returns:
            Non-negative weights that sum to one, all zero where no channel takes part,
            shape: (B, H).
        """
        entities, relations = queries.unbind(dim=1)
        by_degree = self.degree_logits[self.degree_bins[entities]]
        logits = self.global_logits + self.relation_logits[relations] + by_degree
        weights = logits.softmax(dim=1) * takes_part
        total: Tensor = weights.sum(dim=1, keepdim=True)
        return weights / total.clamp_min(torch.finfo(weights.dtype).tiny)

    def forward(self, log_probs: Tensor, queries: Tensor, takes_part: Tensor) -> Tensor:
        """Pools the channels' log-probabilities.

        Args:
            log_probs: shape: (B, H, C).
            queries: (head, relation with inverses), shape: (B, 2), dtype: long.
            takes_part: shape: (B, H), dtype: bool.

        Returns:
            Unnormalised log-probabilities of the candidates, shape: (B, C).
        """
        weights = self.weights(queries, takes_part)
        return self.sharpen(torch.einsum("bh,bhc->bc", weights, log_probs), queries)

    def sharpen(self, pooled: Tensor, queries: Tensor) -> Tensor:
        """Multiplies by tau, shapes: (B, C), (B, 2) -> (B, C)."""
        # A line search may try values far out, which would overflow without the clamp.
        own = self.degree_log_sharpness[self.degree_bins[queries[:, :1]]]
        log_sharpness = self.log_sharpness + own
        return pooled * log_sharpness.clamp(-MAX_LOG_SHARPNESS, MAX_LOG_SHARPNESS).exp()

    def resized(self, num_channels: int) -> "DecisionFusion":
        """Copies the decision for fewer channels, or for more, with logits zero."""
        sizes = len(self.relation_logits) // 2, self.degree_bins, len(self.degree_logits)
        resized = DecisionFusion(num_channels, *sizes).to(self.degree_bins.device)
        for name, old in self.state_dict().items():
            new = resized.get_parameter(name).data
            if old.shape == new.shape:
                new.copy_(old)
            else:
                kept = min(old.shape[-1], num_channels)
                new[..., :kept] = old[..., :kept]
        return resized


def insert_by_rank(decided: Tensor, scores: Tensor, others: Tensor) -> Tensor:
    """Gives further candidates the decision's values at their ranks by one channel.

    The values of two channels have different scales, so a candidate that only one of them scores
    would rank too high or too low.

    Args:
        decided: Values of C candidates by the decision, minus infinity for impossible ones, shape:
            (B, C).
        scores: The same by the channel, shape: (B, C).
        others: Further candidates by the channel, shape: (B, M).

    Returns:
        Between the values at the ranks around; beyond the first and the last as far as by the
        channel, shape: (B, M).
    """
    is_possible = decided > -torch.inf
    last = is_possible.sum(dim=1, keepdim=True) - 1
    if bool((last < 0).any()):
        return others
    scores = scores.masked_fill(~is_possible, -torch.inf)
    values, scores = (each.sort(dim=1, descending=True).values for each in (decided, scores))
    rank = torch.searchsorted(-scores, -others.contiguous())
    above, below = (rank - 1).clamp_min(0), rank.minimum(last)
    high, low = scores.gather(1, above), scores.gather(1, below)
    share = (others - low) / (high - low).clamp_min(torch.finfo(scores.dtype).tiny)
    between = torch.lerp(values.gather(1, below), values.gather(1, above), share.clamp(0, 1))
    beyond = values.gather(1, below) + others - low
    return torch.where(above == below, beyond, between)


LEAST_DOUBT = 1e-7
"""Smallest distance from one of a probability that single precision distinguishes from one."""


class Candidates:
    """Possible answers to some queries, without the known ones.

    Args:
        combined: The decision's log-probabilities of all entities, minus infinity for impossible
            answers, shape: (B, E), dtype: float32.
        known_rows: Query of each known answer, shape: (K,), dtype: long.
        known_tails: The known answers, shape: (K,), dtype: long.
    """

    def __init__(self, combined: Tensor, known_rows: Tensor, known_tails: Tensor) -> None:
        device = combined.device
        self._combined = combined
        self._log_probs = combined.clone()
        self._log_probs[known_rows.to(device), known_tails.to(device)] = -torch.inf

    @cached_property
    def _totals(self) -> Tensor:
        """Log of the candidates' probability, shape: (B,), dtype: float32."""
        return self._log_probs.logsumexp(dim=1).clamp_min(torch.finfo(torch.float32).min)

    def best(self, count: int) -> tuple[Tensor, Tensor]:
        """Returns the most probable candidates of each query, best first.

        Args:
            count: Candidates of each query, at most.

        Returns:
            Query and entity of each, shapes: (P,), (P,), dtype: long.
        """
        top = self._log_probs.topk(min(count, self._log_probs.shape[1]), dim=1)
        rows, places = torch.isfinite(top.values).nonzero(as_tuple=True)
        return rows, top.indices[rows, places]

    def log_odds(self, rows: Tensor, tails: Tensor) -> Tensor:
        """Returns the log-odds of entities against all other candidates.

        A known answer may be passed as well: only unknown answers are its rivals, as in filtered
        ranking.

        Args:
            rows: Query of each, shape: (P,), dtype: long.
            tails: The entities, shape: (P,), dtype: long.

        Returns:
            Log-odds, shape: (P,), dtype: float64.
        """
        # Relative to the candidates' probability; a known answer may exceed one.
        relative = self._combined[rows, tails].double() - self._totals[rows].double()
        is_candidate = torch.isfinite(self._log_probs[rows, tails])
        share = relative.clamp_max(-LEAST_DOUBT)
        return torch.where(is_candidate, share - torch.log(-torch.expm1(share)), relative)


class Calibration(Section):
    """`P(answer) = sigmoid(slope * log-odds + offset)`, with the log-odds of `Candidates`.

    The probability assumes a question with a held-out answer. It is the probability that a given
    one of the `shown` best answers, train answers excluded, is held out. For a question
    that may have no answer, it is too high accordingly.

    Attributes:
        slope: Positive, so answers keep their order.
        offset: Added to the log-odds.
        shown: Answers per question in the calibration data.
        answers: Answers in the calibration data.
        true_answers: Number of them that are held-out facts.
    """

    slope: float
    offset: float
    shown: int
    answers: int
    true_answers: int

    def probability(self, log_odds: Tensor) -> Tensor:
        """Returns calibrated probabilities, shape: (P,) float64 -> (P,) float64."""
        return torch.sigmoid(self.slope * log_odds + self.offset)
