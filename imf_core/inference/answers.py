"""What a trained model answers to questions, and which modality spoke for each answer.

In: queries in ids. Out: answers in ids, which `fact_table` words.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imf_core.data.known_tails import KnownTails
from imf_core.model.calibration import Calibration, Candidates
from imf_core.model.scorer import ChannelScores, Scorer


@dataclass(frozen=True)
class Answers:
    """P answers to some queries, on the CPU.

    Attributes:
        row: Which of the queries each answers, shape: (P,), dtype: long.
        query: (entity, relation with inverses), shape: (P, 2), dtype: long.
        tail: The answer, shape: (P,), dtype: long.
        probability: Calibrated, see `Calibration`, shape: (P,), dtype: float64.
        further: Share of the questions like the one for the fact's tail, and like the one for its
            head, that have a further answer; ones until `FurtherAnswers.weigh`, shape: (P, 2),
            dtype: float32.
        log_prob: Among all entities, from the decision, shape: (P,), dtype: float32.
        channel_log_probs: The same of each head, shape: (P, H), dtype: float32.
        can_answer: Whether the head takes part in the query, shape: (P, H), dtype: bool.
        share: Of each head in the answer's support, shape: (P, H), dtype: float32.
    """

    row: Tensor
    query: Tensor
    tail: Tensor
    probability: Tensor
    further: Tensor
    log_prob: Tensor
    channel_log_probs: Tensor
    can_answer: Tensor
    share: Tensor

    def select(self, index: Tensor) -> "Answers":
        """Returns the answers at some positions, shape: (K,), dtype: long."""
        return Answers(**{name: values[index] for name, values in vars(self).items()})


def find_answers(
    scorer: Scorer,
    calibration: Calibration,
    queries: Tensor,
    known: KnownTails,
    count: int,
    groups: Sequence[Tensor | None] = (None,),
) -> Answers:
    """Returns the most probable unknown answers of each query, by query.

    An entity answers a query about itself only where train has loops of the relation.

    Args:
        scorer: The trained model.
        calibration: Fitted for it.
        queries: (entity, relation with inverses), shape: (B, 2), dtype: long, on the CPU.
        known: Answers that are left out.
        count: Of each query and group, at most.
        groups: Entities that may answer, shape: (B, E), dtype: bool; None for all. The others are
            rivals all the same. The answers of several groups are joined, each once.

    Returns:
        Those of one group best first, those of several by entity.
    """
    scores = scorer.score_all_tails(queries)
    candidates = Candidates(scores.combined, *known.lookup(queries))
    best = []
    for group in groups:
        chosen = candidates
        if group is not None:
            combined = scores.combined.masked_fill(~group.to(scorer.device), -torch.inf)
            chosen = Candidates(combined, *known.lookup(queries))
        best.append(torch.stack(chosen.best(count)))
    rows, tails = best[0] if len(best) == 1 else torch.cat(best, dim=1).unique(dim=1)
    return _describe(scorer, calibration, queries, scores, candidates, rows, tails)


def find_known_answers(
    scorer: Scorer, calibration: Calibration, queries: Tensor, known: KnownTails
) -> Answers:
    """Returns what the model says of the known answers of each query.

    Args:
        scorer: The trained model.
        calibration: Fitted for it, on answers that were not known.
        queries: (entity, relation with inverses), shape: (B, 2), dtype: long, on the CPU.
        known: The answers that `find_answers` leaves out.
    """
    scores = scorer.score_all_tails(queries)
    rows, tails = (each.to(scorer.device) for each in known.lookup(queries))
    candidates = Candidates(scores.combined, rows, tails)
    return _describe(scorer, calibration, queries, scores, candidates, rows, tails)


def concatenate(parts: Iterable[Answers]) -> Answers:
    """Puts answers one after the other; at least one part."""
    parts = list(parts)
    columns = {name: torch.cat([vars(part)[name] for part in parts]) for name in vars(parts[0])}
    return Answers(**columns)


def as_facts(answers: Answers, num_relations: int) -> NDArray[np.int64]:
    """Turns answers into facts (head, relation, tail), shape: (P, 3)."""
    entity, relation = answers.query.unbind(dim=1)
    is_inverse = relation >= num_relations
    head = torch.where(is_inverse, answers.tail, entity)
    tail = torch.where(is_inverse, entity, answers.tail)
    facts: NDArray[np.int64] = torch.stack([head, relation % num_relations, tail], dim=1).numpy()
    return facts


def _describe(
    scorer: Scorer,
    calibration: Calibration,
    queries: Tensor,
    scores: ChannelScores,
    candidates: Candidates,
    rows: Tensor,
    tails: Tensor,
) -> Answers:
    """Gathers what the model says of some answers, shapes: (P,), (P,)."""
    on_device = queries.to(scorer.device)
    values = (
        rows,
        on_device[rows],
        tails,
        calibration.probability(candidates.log_odds(rows, tails)),
        torch.ones(len(rows), 2),
        scores.combined[rows, tails],
        scores.log_probs[rows, :, tails],
        scores.can_answer[rows],
        _shares(scorer, scores, on_device, rows, tails),
    )
    return Answers(*(each.cpu() for each in values))


def _shares(
    scorer: Scorer, scores: ChannelScores, queries: Tensor, rows: Tensor, tails: Tensor
) -> Tensor:
    """Splits each answer's support among the heads.

    A head supports an answer by its weight times how far it puts the answer above chance,
    `w_k (log p_k(t) - log 1/E)`, where that is positive; shares are these supports divided by
    their sum.

    Returns:
        Non-negative, rows sum to one (to zero where no head supports the answer), shape: (P, H).
    """
    weights = scorer.model.decision.weights(queries, scores.can_answer).detach()
    chance = -torch.log(torch.tensor(float(scores.combined.shape[1])))
    support = (weights[rows] * (scores.log_probs[rows, :, tails] - chance)).clamp_min(0.0)
    return support / support.sum(dim=1, keepdim=True).clamp_min(torch.finfo(support.dtype).tiny)
