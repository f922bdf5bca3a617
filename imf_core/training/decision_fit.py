"""Fits the decision weights on held-out facts, with the channels frozen.

The structural channel memorises train, so weights learned there would give it everything. Only
unseen facts show the value of a channel.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from imf_core.base.config import DecisionParams
from imf_core.base.device import concatenate_rows
from imf_core.base.errors import DivergenceError
from imf_core.base.terminal import track
from imf_core.graph.known_tails import KnownTails, with_inverses
from imf_core.model.decision import DecisionFusion
from imf_core.model.scorer import ChannelScores

TOP_CANDIDATES = 128
"""Candidates kept per channel and query; the others have almost no probability."""


class ProbabilityScorer(Protocol):
    """Interface: returns log-probabilities of every entity as the tail of a query."""

    @property
    def device(self) -> torch.device:
        """Device of the scores."""
        ...

    def probability_batch_size(self, wanted: int) -> int:
        """Returns the number of queries to score at once, at most `wanted`."""
        ...

    def score_all_tails(self, queries: Tensor) -> ChannelScores:
        """Scores every entity as the tail of each query, shape: (B, 2), dtype: long."""
        ...


@dataclass(frozen=True)
class HeldOutScores:
    """Scores of held-out facts by each channel.

    Attributes:
        log_probs: The answer first, then the best other candidates of each channel, shape:
            (P, H, K), dtype: float32.
        is_candidate: False for repeated candidates and other known answers, shape: (P, K), dtype:
            bool.
        queries: (head, relation with inverses), shape: (P, 2), dtype: long.
        takes_part: shape: (P, H), dtype: bool.
    """

    log_probs: Tensor
    is_candidate: Tensor
    queries: Tensor
    takes_part: Tensor


@torch.no_grad()
def score_held_out(
    scorer: ProbabilityScorer,
    triples: Tensor,
    known: KnownTails,
    num_relations: int,
    batch_size: int,
) -> HeldOutScores:
    """Scores facts in both directions and keeps the best candidates.

    Directions with an impossible answer are left out, since no weights can change that.

    Args:
        scorer: The model.
        triples: Held-out facts, shape: (N, 3), dtype: long, N at least one.
        known: Known answers; they are no candidates for other answers.
        num_relations: R.
        batch_size: Queries scored at once.

    Raises:
        DivergenceError: If a score is not finite.
    """
    batches = with_inverses(triples, num_relations).split(scorer.probability_batch_size(batch_size))
    shown = track(batches, "fit of the decision, batches", len(batches))
    parts = (_score_batch(scorer, facts, known) for facts in shown)
    return HeldOutScores(*concatenate_rows([*vars(part).values()] for part in parts))


def _score_batch(scorer: ProbabilityScorer, facts: Tensor, known: KnownTails) -> HeldOutScores:
    """Scores facts, inverses among them; see `score_held_out`."""
    scores = scorer.score_all_tails(facts[:, :2])
    if not bool(scores.log_probs.sum().isfinite()):
        raise DivergenceError(
            "the weights are no longer finite; lower train.embedding_learning_rate or "
            "train.network_learning_rate in params.yaml"
        )
    answers = facts[:, 2:].to(scorer.device)
    log_probs = scores.log_probs
    num_channels, num_entities = log_probs.shape[1:]
    known_rows, known_tails = (each.to(scorer.device) for each in known.lookup(facts[:, :2]))
    is_possible = scores.combined > -torch.inf
    kept = is_possible.gather(1, answers).flatten()
    allowed = is_possible.clone()
    allowed[known_rows, known_tails] = False
    allowed.scatter_(1, answers, False)
    ranked, impossible = torch.empty_like(scores.combined), log_probs.new_tensor(-torch.inf)
    best = []
    for channel in log_probs.unbind(dim=1):
        torch.where(allowed, channel, impossible, out=ranked)
        best.append(ranked.topk(min(TOP_CANDIDATES, num_entities), dim=1).indices)
    top = torch.cat(best, dim=1).sort(dim=1).values
    repeated = torch.zeros_like(top, dtype=torch.bool)
    repeated[:, 1:] = top[:, 1:] == top[:, :-1]
    chosen = torch.cat([answers, top], dim=1)
    is_candidate = torch.cat(
        [torch.ones_like(answers, dtype=torch.bool), allowed.gather(1, top) & ~repeated], dim=1
    )
    index = chosen.unsqueeze(1).expand(-1, num_channels, -1)
    return HeldOutScores(
        log_probs.gather(2, index)[kept],
        is_candidate[kept],
        facts[:, :2].to(scorer.device)[kept],
        scores.takes_part[kept],
    )


def fit_decision(decision: DecisionFusion, held_out: HeldOutScores, params: DecisionParams) -> None:
    """Minimises the cross entropy of held-out answers over the decision's parameters, in place.

    Args:
        decision: Reset to equal weights before the fit.
        held_out: From `score_held_out`.
        params: `weights: equal` fits the sharpness alone; `global` adds one set of weights;
            `per-query` adds offsets by relation and by degree, with a quadratic penalty that
            shrinks them towards zero.
    """
    for parameter in decision.parameters():
        torch.nn.init.zeros_(parameter)
    fitted = [decision.log_sharpness]
    if params.weights != "equal":
        fitted.append(decision.global_logits)
    offsets = [decision.relation_logits, decision.degree_logits, decision.degree_log_sharpness]
    if params.weights == "per-query":
        fitted += offsets
    optimizer = torch.optim.LBFGS(
        fitted, max_iter=100, tolerance_change=1e-7, line_search_fn="strong_wolfe"
    )
    useful = held_out.takes_part.any(dim=1)

    def loss() -> Tensor:
        pooled = decision(held_out.log_probs, held_out.queries, held_out.takes_part)
        pooled = pooled.masked_fill(~held_out.is_candidate, -torch.inf)
        nll = -pooled.log_softmax(dim=1)[useful, 0].sum()
        # The weak penalty keeps the logit of a useless channel and the sharpness finite.
        pull = decision.global_logits.square().sum() + decision.log_sharpness.square()
        own = params.shrinkage * sum(each.square().sum() for each in offsets)
        # A constant, so that the optimiser's tolerance does not depend on the number of queries.
        total: Tensor = (nll + 0.5 * (pull + own)) / max(1, len(useful))
        return total

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(closure)
    decision.zero_grad()
