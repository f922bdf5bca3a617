"""Questions, and answers of a trained model with the share of each channel.

Queries and answers are in ids; `fact_table` adds labels and names.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imf_core.base.device import concatenate_rows
from imf_core.graph.known_tails import KnownTails
from imf_core.model.decision import Calibration, Candidates
from imf_core.model.scorer import ChannelScores, Scorer

ASKED = "?"
"""Placeholder of the part that a question asks for."""


@dataclass(frozen=True)
class Question:
    """`(head, relation, ?)`, `(?, relation, tail)` or `(head, ?, tail)`.

    Attributes:
        head: Label or name; None if the question asks for the head.
        relation: Label or name; None if the question asks for the relation.
        tail: Label or name; None if the question asks for the tail.
    """

    head: str | None
    relation: str | None
    tail: str | None


def parse_question(head: str | None, relation: str | None, tail: str | None) -> Question:
    """Makes a question of its three parts; `?` or None marks the missing one."""
    return Question(*(None if part == ASKED else part for part in (head, relation, tail)))


@dataclass(frozen=True)
class Answers:
    """P answers to some queries, on the CPU.

    Attributes:
        row: Index of the answered query, shape: (P,), dtype: long.
        query: (entity, relation with inverses), shape: (P, 2), dtype: long.
        tail: The answer, shape: (P,), dtype: long.
        probability: Calibrated probability, see `Calibration`, shape: (P,), dtype: float64.
        further: Share of similar questions that have a further answer, for the question about the
            fact's tail and the one about its head; ones until `FurtherAnswers.weigh`, shape:
            (P, 2), dtype: float32.
        log_prob: Log-probability among all entities, from the decision, shape: (P,), dtype:
            float32.
        channel_log_probs: The same of each channel, shape: (P, H), dtype: float32.
        takes_part: Whether the channel takes part in the query, shape: (P, H), dtype: bool.
        share: Share of each channel in the answer's support, shape: (P, H), dtype: float32.
    """

    row: Tensor
    query: Tensor
    tail: Tensor
    probability: Tensor
    further: Tensor
    log_prob: Tensor
    channel_log_probs: Tensor
    takes_part: Tensor
    share: Tensor

    @property
    def answered(self) -> Tensor:
        """(entity, relation with inverses, answer), shape: (P, 3), dtype: long."""
        return torch.cat([self.query, self.tail[:, None]], dim=1)

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
        calibration: Fitted for the model.
        queries: (entity, relation with inverses), shape: (B, 2), dtype: long, on the CPU.
        known: Known answers, which are left out.
        count: Answers per query and group, at most.
        groups: Masks of the entities that may answer, shape: (B, E), dtype: bool; None for all. The
            other entities still count as rivals.

    Returns:
        Answers of one group sorted best first; those of several groups joined without duplicates
        and sorted by entity.
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
    """Returns the model's probabilities of the known answers of each query.

    Args:
        scorer: The trained model.
        calibration: Fitted for the model, on answers that were not known.
        queries: (entity, relation with inverses), shape: (B, 2), dtype: long, on the CPU.
        known: The answers that `find_answers` leaves out.
    """
    scores = scorer.score_all_tails(queries)
    rows, tails = (each.to(scorer.device) for each in known.lookup(queries))
    candidates = Candidates(scores.combined, rows, tails)
    return _describe(scorer, calibration, queries, scores, candidates, rows, tails)


def concatenate(parts: Iterable[Answers]) -> Answers:
    """Concatenates answers; at least one part."""
    return Answers(*concatenate_rows([*vars(part).values()] for part in parts))


def as_facts(answered: Tensor, num_relations: int) -> NDArray[np.int64]:
    """Turns answers (entity, relation with inverses, answer) into facts (head, relation, tail).

    Args:
        answered: shape: (P, 3), dtype: long, on the CPU.
        num_relations: R.

    Returns:
        shape: (P, 3).
    """
    entity, relation, answer = answered.unbind(dim=1)
    is_inverse = relation >= num_relations
    head = torch.where(is_inverse, answer, entity)
    tail = torch.where(is_inverse, entity, answer)
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
    """Returns probabilities and shares of some answers, shapes: (P,), (P,)."""
    on_device = queries.to(scorer.device)
    values = (
        rows,
        on_device[rows],
        tails,
        calibration.probability(candidates.log_odds(rows, tails)),
        torch.ones(len(rows), 2),
        scores.combined[rows, tails],
        scores.log_probs[rows, :, tails],
        scores.takes_part[rows],
        _shares(scorer, scores, on_device, rows, tails),
    )
    return Answers(*(each.cpu() for each in values))


def _shares(
    scorer: Scorer, scores: ChannelScores, queries: Tensor, rows: Tensor, tails: Tensor
) -> Tensor:
    """Returns the share of each channel in the support of an answer.

    A channel's support is its weight times its log-probability above chance,
    `w_k (log p_k(t) - log 1/E)`, or zero if negative; shares are supports divided by their sum. A
    channel that alone takes part has the whole share.

    Returns:
        Non-negative; rows sum to one, or to zero without any support, shape: (P, H).
    """
    weights = scorer.model.decision.weights(queries, scores.takes_part).detach()
    chance = -torch.log(torch.tensor(float(scores.combined.shape[1])))
    support = (weights[rows] * (scores.log_probs[rows, :, tails] - chance)).clamp_min(0.0)
    has_weight = weights[rows] > 0
    support = support.where(has_weight.sum(dim=1, keepdim=True) > 1, has_weight.float())
    return support / support.sum(dim=1, keepdim=True).clamp_min(torch.finfo(support.dtype).tiny)
