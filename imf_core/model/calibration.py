"""Calibration: turns the decision's odds into probabilities.

The decision is fitted to rank, and its softmax spreads one unit of probability over all entities,
known answers included. Calibration compares each possible answer with its rivals alone, then scales
and shifts the log-odds by two numbers fitted on held-out facts (Platt scaling). Tabacof and
Costabello (ICLR 2020, arXiv 1912.10000) and Safavi, Koutra and Meij (EMNLP 2020, arXiv 2004.01168)
show that link predictors need calibration and that two numbers do much of it.
"""

import torch
from torch import Tensor

from imf_core.typed_yaml import Section

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
        self._totals = self._log_probs.logsumexp(dim=1).clamp_min(torch.finfo(torch.float32).min)

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
