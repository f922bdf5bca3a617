"""Answers (head, ?, tail): the relations between two entities.

The model has no distribution over relations. A relation's rank follows the probability of its fact
times the affinity of its ends: the share of similar entities that have the relation, the smaller
one of head and tail. It does not assume that the pair is related: for pairs that are, the
probability is too low. `python -m recipes.relations` measures the ranks.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imf_core.graph.known_tails import KnownTails
from imf_core.inference.fact_scores import FactScorer, FactScores
from imf_core.inference.plausibility import Affinities


@dataclass(frozen=True)
class RelationScores:
    """Scores of all R relations between P pairs of entities, on the CPU.

    Attributes:
        facts: (head, relation, tail), shape: (P, R, 3), dtype: long.
        log_probs: As in `FactScores`, shape: (P, R, 2), dtype: float32.
        fact_probability: As in `FactScores`, shape: (P, R), dtype: float64.
        affinity: Share of similar entities that have the relation, shape: (P, R), dtype: float64.
    """

    facts: Tensor
    log_probs: Tensor
    fact_probability: Tensor
    affinity: Tensor

    @property
    def probability(self) -> Tensor:
        """That of the fact times the affinity; a pair's need not sum to one, shape: (P, R)."""
        return self.fact_probability * self.affinity


@dataclass(frozen=True)
class RankedRelations:
    """N answers to the questions of some pairs, by pair, then most probable first.

    Attributes:
        row: Position of the pair, shape: (N,), dtype: long.
        facts: (head, relation, tail), shape: (N, 3), dtype: long.
        scores: Of the facts, with the probability times the affinity.
        affinity: shape: (N,), dtype: float64.
    """

    row: Tensor
    facts: Tensor
    scores: FactScores
    affinity: Tensor


def score_relations(scorer: FactScorer, affinities: Affinities, pairs: Tensor) -> RelationScores:
    """Scores every relation between pairs of entities.

    Args:
        scorer: Scores facts.
        affinities: Affinities of entities and relations.
        pairs: (head, tail), shape: (P, 2), dtype: long, on the CPU.
    """
    count, num_relations = len(pairs), scorer.num_relations
    relations = torch.arange(num_relations).expand(count, num_relations)
    heads, tails = (end[:, None].expand_as(relations) for end in pairs.unbind(dim=1))
    facts = torch.stack([heads, relations, tails], dim=2)
    scores = scorer.score(facts.reshape(-1, 3))
    return RelationScores(
        facts=facts,
        log_probs=scores.log_probs.view(count, num_relations, 2),
        fact_probability=scores.probability.view(count, num_relations),
        affinity=find_affinities(affinities, pairs),
    )


def find_affinities(affinities: Affinities, pairs: Tensor) -> Tensor:
    """Returns the affinity of pairs to every relation, the smaller one of head and tail.

    Args:
        affinities: Affinities of entities and relations.
        pairs: (head, tail), shape: (P, 2), dtype: long.

    Returns:
        shape: (P, R), dtype: float64.
    """
    of_heads, of_tails = (_affinities_of(affinities, end) for end in pairs.unbind(dim=1))
    num_relations = of_heads.shape[1] // 2
    return torch.minimum(of_heads[:, :num_relations], of_tails[:, num_relations:])


def _affinities_of(affinities: Affinities, entities: Tensor) -> Tensor:
    """Returns the affinity of entities to every relation, shape: (P,) -> (P, 2R)."""
    distinct, place = entities.unique(return_inverse=True)
    rows = np.stack([affinities.of_entity(entity) for entity in distinct.tolist()])
    return torch.from_numpy(rows).double()[place]


def rank_relations(
    scorer: FactScorer, affinities: Affinities, pairs: Tensor, known: KnownTails | None, count: int
) -> RankedRelations:
    """Ranks the relations between pairs of entities, without impossible loops.

    Args:
        scorer: Scores facts.
        affinities: Affinities of entities and relations.
        pairs: (head, tail), shape: (P, 2), dtype: long, on the CPU, P at least one.
        known: Known facts, which are left out; None for none.
        count: Relations per pair, at most.
    """
    found = score_relations(scorer, affinities, pairs)
    probability = found.probability
    kept = ~scorer.find_impossible_loops(found.facts.view(-1, 3)).view(probability.shape)
    if known is not None:
        kept &= ~find_known(known, found.facts)
    row, relation = kept.nonzero(as_tuple=True)
    order = torch.from_numpy(np.lexsort([-probability[row, relation].numpy(), row.numpy()]))
    row, relation = row[order], relation[order]
    sizes = row.bincount(minlength=len(pairs))
    rank = torch.arange(len(row)) - (sizes.cumsum(0) - sizes)[row]
    row, relation = row[rank < count], relation[rank < count]
    scores = FactScores(found.log_probs[row, relation], probability[row, relation])
    return RankedRelations(row, found.facts[row, relation], scores, found.affinity[row, relation])


def find_known(known: KnownTails, facts: Tensor) -> Tensor:
    """Returns which facts are known, shape: (P, R, 3) -> (P, R), dtype: bool."""
    flat = facts.reshape(-1, 3)
    return known.contains(flat[:, :2], flat[:, 2]).view(facts.shape[:2])


def rank_true_relations(values: Tensor, relations: Tensor, is_known: Tensor) -> NDArray[np.float64]:
    """Ranks the true relation of each pair, filtered; ties count half.

    Args:
        values: A higher value is a better rank, shape: (P, R).
        relations: The true relation of each pair, shape: (P,), dtype: long.
        is_known: Known relations of each pair, which are no rivals, shape: (P, R), dtype: bool.

    Returns:
        From one on, shape: (P,).
    """
    rows = torch.arange(len(values))
    true = values[rows, relations][:, None]
    is_rival = ~is_known
    is_rival[rows, relations] = False
    above = ((values > true) & is_rival).sum(dim=1)
    level = ((values == true) & is_rival).sum(dim=1)
    ranks: NDArray[np.float64] = (1 + above.double() + level.double() / 2).numpy()
    return ranks
