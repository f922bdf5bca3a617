"""Several models under one decision: the control that separates fusion from ensembling."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from imf_core.config import DecisionParams
from imf_core.data.degrees import DEGREE_BINS
from imf_core.data.graph import Graph
from imf_core.data.known_tails import known_tails_in
from imf_core.model.decision import DecisionFusion
from imf_core.model.imf import NO_ANSWER_LOGIT
from imf_core.model.scorer import ChannelScores, Scorer
from imf_core.training.decision_fit import fit_decision, score_held_out


class Ensemble:
    """Combines the channels of several models; a `RankingScorer` and a `ProbabilityScorer`.

    Args:
        scorers: Scorers of models of one graph, on one device.
        decision: Decision over the channels of all models.
    """

    def __init__(self, scorers: Sequence[Scorer], decision: DecisionFusion) -> None:
        self.scorers = scorers
        self.decision = decision.to(scorers[0].device)
        self.device = scorers[0].device
        self.shard = scorers[0].shard
        self.channel_names = tuple(
            f"{name} {number}"
            for number, scorer in enumerate(scorers, start=1)
            for name in scorer.channel_names
        )

    def batch_size(self, wanted: int) -> int:
        """Returns the number of queries to score at once, at most `wanted`."""
        least = min(scorer.probability_batch_size(wanted) for scorer in self.scorers)
        return max(1, least // len(self.scorers))

    probability_batch_size = batch_size

    @torch.no_grad()
    def score_all_tails(self, queries: Tensor) -> ChannelScores:
        """Scores every entity as the tail of each query; see `Scorer.score_all_tails`."""
        parts = [scorer.score_all_tails(queries) for scorer in self.scorers]
        log_probs = torch.cat([part.log_probs for part in parts], dim=1)
        can_answer = torch.cat([part.can_answer for part in parts], dim=1)
        pooled = self.decision(log_probs, queries.to(self.device), can_answer)
        pooled = pooled.where(parts[0].combined.isfinite(), -torch.inf)
        return ChannelScores(log_probs, can_answer, pooled.log_softmax(dim=1))

    def scores(self, queries: Tensor) -> Iterator[Tensor]:
        """Scores queries by each channel, then by the decision; see `RankingScorer`.

        Scores are finite; impossible answers rank last.
        """
        scores = self.score_all_tails(queries)
        is_possible = scores.combined.isfinite()
        for each in (*scores.log_probs.unbind(dim=1), scores.combined):
            yield each.where(is_possible, NO_ANSWER_LOGIT)


def fit_ensemble(
    scorers: Sequence[Scorer], graph: Graph, params: DecisionParams, batch_size: int
) -> Ensemble:
    """Combines models under one decision fitted on valid.

    Args:
        scorers: Scorers of trained models of the graph.
        graph: Train and valid are read.
        params: Section `decision` of the parameters.
        batch_size: Queries scored at once.
    """
    num_channels = sum(len(scorer.channel_names) for scorer in scorers)
    degree_bins = scorers[0].model.decision.degree_bins
    decision = DecisionFusion(num_channels, graph.num_relations, degree_bins, len(DEGREE_BINS))
    together = Ensemble(scorers, decision)
    known = known_tails_in(graph, ("train", "valid"))
    held_out = score_held_out(
        together, graph.triples["valid"], known, graph.num_relations, batch_size
    )
    fit_decision(together.decision, held_out, params)
    return together
