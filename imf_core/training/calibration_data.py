"""Calibration data: the best answers to held-out questions, and whether they are right."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from imf_core.data.known_tails import KnownTails, build_known_tails, with_inverses
from imf_core.model.calibration import Candidates
from imf_core.model.scorer import Scorer

SHOWN = 10
"""Answers per question, about as many as a person looks at."""

MAX_FACTS = 10_000
"""Largest number of held-out facts used; far fewer suffice to fit two numbers."""


@dataclass(frozen=True)
class CalibrationData:
    """The best answers to questions with held-out answers.

    Attributes:
        log_probs: Log-probability of each answer among all entities, as scored, shape: (P,), dtype:
            float64.
        log_odds: Log-odds against the other candidates, shape: (P,), dtype: float64.
        is_true: Whether the answer is a held-out fact, shape: (P,), dtype: bool.
    """

    log_probs: Tensor
    log_odds: Tensor
    is_true: Tensor


@torch.no_grad()
def collect_calibration_data(
    scorer: Scorer,
    asked: Tensor,
    held_out: Tensor,
    known: KnownTails,
    num_relations: int,
    batch_size: int,
) -> CalibrationData:
    """Asks for the tail and the head of held-out facts and checks the best answers.

    Each distinct question is asked once.

    Args:
        scorer: The model, in one process.
        asked: Facts to ask about, an evenly spaced sample if there are more than `MAX_FACTS`,
            shape: (N, 3), dtype: long, N at least one.
        held_out: Facts that make an answer true, shape: (M, 3), dtype: long.
        known: Known answers; they are no candidates.
        num_relations: R.
        batch_size: Queries scored at once, at most.

    Returns:
        The calibration data, on the CPU.
    """
    step = -(-len(asked) // MAX_FACTS)
    questions = with_inverses(asked[::step], num_relations)[:, :2].unique(dim=0)
    truth = build_known_tails(held_out, known.num_entities, num_relations)
    batches = questions.split(scorer.probability_batch_size(batch_size))
    return gather(_judge(scorer, batch, truth, known) for batch in batches)


def gather(parts: Iterable[CalibrationData]) -> CalibrationData:
    """Concatenates calibration data."""
    parts = list(parts)
    return CalibrationData(
        torch.cat([part.log_probs for part in parts]),
        torch.cat([part.log_odds for part in parts]),
        torch.cat([part.is_true for part in parts]),
    )


def _judge(
    scorer: Scorer, questions: Tensor, truth: KnownTails, known: KnownTails
) -> CalibrationData:
    combined = scorer.score_all_tails(questions).combined
    candidates = Candidates(combined, *known.lookup(questions))
    rows, tails = candidates.best(SHOWN)
    is_answer = torch.zeros(combined.shape, dtype=torch.bool)
    is_answer[truth.lookup(questions)] = True
    return CalibrationData(
        combined[rows, tails].double().cpu(),
        candidates.log_odds(rows, tails).cpu(),
        is_answer[rows.cpu(), tails.cpu()],
    )
