"""From the model's odds to probabilities that can be relied on.

The fused head is fitted to rank, and its softmax spreads one unit of probability over all entities,
known answers included. Here each possible answer is set against its rivals alone, and the odds are
then stretched and shifted by two numbers fitted on held-out facts (Platt scaling). That link
predictors need it, and that two numbers do much of it, is shown by Tabacof and Costabello (ICLR
2020, arXiv 1912.10000) and Safavi, Koutra and Meij (EMNLP 2020, arXiv 2004.01168).
"""

import torch
from torch import Tensor

from imf_core.config import Section

LEAST_DOUBT = 1e-7
"""How near to one a probability in single precision is told from one."""


class Candidates:
    """Possible answers to some queries, the known ones left out.

    Args:
        combined: The decision's log-probabilities of all entities, minus infinity where an entity
            is no possible answer, shape: (B, E), dtype: float32.
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
            count: Of each query, or as many as there are.

        Returns:
            Query and entity of each, shapes: (P,), (P,), dtype: long.
        """
        top = self._log_probs.topk(min(count, self._log_probs.shape[1]), dim=1)
        rows, places = torch.isfinite(top.values).nonzero(as_tuple=True)
        return rows, top.indices[rows, places]

    def log_odds(self, rows: Tensor, tails: Tensor) -> Tensor:
        """Sets entities against all candidates but themselves.

        A known answer may be asked about as well: it, too, has the unknown ones for rivals alone,
        as in filtered ranking.

        Args:
            rows: Query of each, shape: (P,), dtype: long.
            tails: The entities, shape: (P,), dtype: long.

        Returns:
            Logarithms of their odds, shape: (P,), dtype: float64.
        """
        # As a share of the candidates' probability; that of a known answer may be above one.
        relative = self._combined[rows, tails].double() - self._totals[rows].double()
        is_candidate = torch.isfinite(self._log_probs[rows, tails])
        share = relative.clamp_max(-LEAST_DOUBT)
        return torch.where(is_candidate, share - torch.log(-torch.expm1(share)), relative)


class Calibration(Section):
    """`P(answer) = sigmoid(slope * log-odds + offset)`, the log-odds those of `Candidates`.

    It is the probability of this event: of a question that a held-out fact answers, a given one of
    the `shown` best answers is an answer held out, where answers that train gives are left out.
    That the question has an answer is thus taken for granted; where it may have none, the
    probability is too high by as much.

    Attributes:
        slope: Above zero, so that answers keep their order.
        offset: Added to the log-odds.
        shown: How many answers to each question were judged.
        answers: Answers judged, in all.
        true_answers: Of these, those held out.
    """

    slope: float
    offset: float
    shown: int
    answers: int
    true_answers: int

    def probability(self, log_odds: Tensor) -> Tensor:
        """Returns calibrated probabilities, shape: (P,) float64 -> (P,) float64."""
        return torch.sigmoid(self.slope * log_odds + self.offset)
