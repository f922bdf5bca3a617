"""Scores given facts, and judges them by a threshold for each relation (triple classification).

A fact answers two questions, (head, relation, ?) and (?, relation, tail). Its log-odds are the mean
of both answers' log-odds among the answers that train does not know, and its probability is that of
`Calibration`, times the smaller share of such questions that have a further answer
(`plausibility`). Only answers of train count as known, so facts of valid and test are scored
without help of themselves or of each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imf_core.base.bounds import max_sample_facts
from imf_core.base.sections import Section
from imf_core.graph.decided import REJECTED
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import KnownTails, build_known_tails, with_inverses
from imf_core.inference.plausibility import FurtherAnswers
from imf_core.model.decision import Calibration, Candidates
from imf_core.model.scorer import Scorer

PULL = 20
"""Weight of the facts of all relations in the threshold of one, in valid facts of that relation."""

MAX_FACTS = 10_000
"""Largest number of valid facts used, an evenly spaced sample."""

SEED = 0
"""Seed of the corrupted facts."""

TRIES = 50
"""Draws of a corrupted fact; none is made if all of them are known."""

DIGITS = 6
"""Digits of a threshold; further ones differ between kinds of CPU."""


@dataclass(frozen=True)
class FactScores:
    """Scores of N facts, on the CPU.

    Attributes:
        log_probs: Log-probabilities of the tail given head and relation, and of the head given
            relation and tail, shape: (N, 2), dtype: float32; minus infinity for an impossible
            answer: an unseen entity, or the question's own entity where train has no loop of the
            relation.
        probability: Calibrated, shape: (N,), dtype: float64.
    """

    log_probs: Tensor
    probability: Tensor


class FactScorer:
    """Scores facts with a trained model.

    Args:
        scorer: The trained model.
        calibration: Fitted for the model.
        known: Known answers of train.
        further: Estimates for the questions of the graph.
    """

    def __init__(
        self, scorer: Scorer, calibration: Calibration, known: KnownTails, further: FurtherAnswers
    ) -> None:
        self._scorer, self._calibration = scorer, calibration
        self._known, self._further = known, further
        self.num_relations = scorer.model.num_relations

    def score(self, facts: Tensor) -> FactScores:
        """Scores facts.

        Args:
            facts: (head, relation, tail), shape: (N, 3), dtype: long, on the CPU.
        """
        both = with_inverses(facts, self._scorer.model.num_relations)
        log_probs, log_odds = (each.view(2, -1).T for each in self._score_answers(both))
        # An impossible answer says nothing of the other question, unless both are impossible.
        is_possible = log_probs.isfinite()
        total = log_odds.masked_fill(~is_possible, 0.0).sum(dim=1)
        mean = (total / is_possible.sum(dim=1)).masked_fill(~is_possible.any(dim=1), -torch.inf)
        share = self._further.from_train(facts.numpy()).min(dim=1).values
        return FactScores(log_probs, self._calibration.probability(mean) * share)

    def find_impossible_loops(self, facts: Tensor) -> Tensor:
        """Finds loops that no split has, of relations without a loop in train.

        By the own-entity rule, neither end of such a fact answers its question.

        Args:
            facts: (head, relation, tail), shape: (N, 3), dtype: long, on the CPU.

        Returns:
            shape: (N,), dtype: bool.
        """
        head, relation, tail = facts.unbind(dim=1)
        is_impossible = (head == tail) & ~self._scorer.model.has_loops.cpu()[relation]
        loops = is_impossible.nonzero().flatten()
        if len(loops):
            is_known = self._further.is_known(facts[loops].numpy())
            is_impossible[loops] = torch.from_numpy(~is_known)
        return is_impossible

    def _score_answers(self, facts: Tensor) -> tuple[Tensor, Tensor]:
        """Returns log-probability and log-odds of each tail, shapes: (M,), (M,)."""
        queries, place = facts[:, :2].unique(dim=0, return_inverse=True)
        order = place.argsort(stable=True)  # facts by query
        ends = place.bincount(minlength=len(queries)).cumsum(0)
        log_probs, log_odds = torch.empty(len(facts)), torch.empty(len(facts), dtype=torch.float64)
        asked = done = 0
        size = self._scorer.probability_batch_size(len(queries))
        for batch in queries.split(size) if len(queries) else ():
            combined = self._scorer.score_all_tails(batch).combined
            candidates = Candidates(combined, *self._known.lookup(batch))
            chosen = order[done : int(ends[asked + len(batch) - 1])]
            rows = (place[chosen] - asked).to(self._scorer.device)
            tails = facts[chosen, 2].to(self._scorer.device)
            log_probs[chosen] = combined[rows, tails].cpu()
            log_odds[chosen] = candidates.log_odds(rows, tails).cpu()
            asked, done = asked + len(batch), done + len(chosen)
        return log_probs, log_odds


class Thresholds(Section):
    """Least probability of a fact that is judged true.

    Attributes:
        default: For the relations that `relations` leaves out.
        relations: By label of the relation.
        facts: Valid facts of the fit.
        balanced_accuracy: Mean of the shares of true and of false facts that the thresholds judge
            right, on the facts of the fit.
    """

    default: float
    relations: dict[str, float]
    facts: int
    balanced_accuracy: float

    def of_relations(self, labels: Sequence[str]) -> NDArray[np.float64]:
        """Returns the threshold of each relation, shape: (N,)."""
        return np.array([self.relations.get(label, self.default) for label in labels])


def fit_thresholds(scorer: FactScorer, graph: Graph) -> Thresholds:
    """Fits the thresholds on valid, see `choose_thresholds`.

    Each valid fact is true. `corrupt` makes two false facts of it, and facts that people have
    rejected are false. The decision is fitted on valid too, so the balanced accuracy is a little
    higher than on other facts.

    Args:
        scorer: Scores facts.
        graph: Train, valid and the rejected facts are read.
    """
    valid = graph.triples["valid"]
    facts = valid[:: -(-len(valid) // min(MAX_FACTS, max_sample_facts(graph.num_entities)))]
    both = torch.cat([facts, corrupt(facts, graph), graph.decided[REJECTED]])
    is_true = torch.arange(len(both)) < len(facts)
    probability = scorer.score(both).probability
    return choose_thresholds(probability, is_true, both[:, 1], graph.relation_labels)


def choose_thresholds(
    probability: Tensor,
    is_true: Tensor,
    relations: Tensor,
    relation_labels: Sequence[str],
    pull: float = PULL,
) -> Thresholds:
    """Chooses the threshold of the highest balanced accuracy for each relation.

    The facts of a relation are few, so its balanced accuracy is averaged with that on the facts of
    all relations: the first has the number of the relation's true facts as weight, the second
    `pull`. A relation without true or without false facts has the threshold of all.

    Args:
        probability: shape: (N,), dtype: float64.
        is_true: shape: (N,), dtype: bool.
        relations: Relation of each fact, shape: (N,), dtype: long.
        relation_labels: By id.
        pull: Zero for the facts of the relation alone.
    """
    levels = probability.unique()  # sorted
    common = _balanced_errors(probability, is_true, levels)
    default = _best_threshold(levels, common)
    own = {}
    counts = relations[is_true].bincount(minlength=len(relation_labels)).tolist()
    for relation, count in enumerate(counts):
        chosen = relations == relation
        if count and not bool(is_true[chosen].all()):
            errors = _balanced_errors(probability[chosen], is_true[chosen], levels)
            own[relation] = _best_threshold(levels, count * errors + pull * common)
    threshold = torch.full((len(relation_labels),), default, dtype=torch.float64)
    threshold[list(own)] = torch.tensor(list(own.values()), dtype=torch.float64)
    is_right = (probability >= threshold[relations]) == is_true
    parts = [is_right[chosen].double().mean() for chosen in (is_true, ~is_true) if chosen.any()]
    return Thresholds(
        default=default,
        relations={relation_labels[relation]: value for relation, value in own.items()},
        facts=int(is_true.sum()),
        balanced_accuracy=round(float(torch.stack(parts).mean()), 4),
    )


def corrupt(
    facts: Tensor, graph: Graph, splits: Sequence[str] = ("train", "valid"), seed: int = SEED
) -> Tensor:
    """Replaces the tail, then the head of facts by entities with the same role in train.

    An entity has the role if it is a tail (a head) of the relation, so it has the right type.

    Args:
        facts: shape: (N, 3), dtype: long.
        graph: Its train facts give the tails and heads of each relation.
        splits: Their facts are not drawn.
        seed: Of the draws.

    Returns:
        Two facts for each one, fewer where train has no other entity, shape: (at most 2N, 3),
        dtype: long.
    """
    generator = torch.Generator().manual_seed(seed)
    count, num_relations = graph.num_entities, graph.num_relations
    known = build_known_tails(
        torch.cat([graph.triples[split] for split in splits]), count, num_relations
    )
    train = with_inverses(graph.triples["train"], num_relations)
    pools = (train[:, 1] * count + train[:, 2]).unique()  # sorted by relation, then tail
    starts = torch.searchsorted(pools, torch.arange(2 * num_relations + 1) * count)
    drawn = []
    for asked in with_inverses(facts, num_relations).split(len(facts)):
        head, relation, _ = asked.unbind(dim=1)
        sizes = starts[relation + 1] - starts[relation]
        is_open = sizes > 0
        tail = torch.full_like(head, -1)
        for _ in range(TRIES):
            place = (torch.rand(len(head), generator=generator, dtype=torch.float64) * sizes).long()
            found = pools[(starts[relation] + place).clamp_max(len(pools) - 1)] % count
            tail[is_open] = found[is_open]
            is_open &= known.contains(asked[:, :2], found) | (found == head)
        kept = (sizes > 0) & ~is_open
        drawn.append(torch.stack([head, relation, tail], dim=1)[kept])
    tails, heads = drawn
    heads = torch.stack([heads[:, 2], heads[:, 1] - num_relations, heads[:, 0]], dim=1)
    return torch.cat([tails, heads])


def _balanced_errors(values: Tensor, is_true: Tensor, levels: Tensor) -> Tensor:
    """Returns one minus the balanced accuracy if the values from each level on are judged true.

    Args:
        values: Probabilities, shape: (N,), dtype: float64.
        is_true: shape: (N,), dtype: bool.
        levels: shape: (L,), dtype: float64.

    Returns:
        shape: (L,), dtype: float64.
    """
    below_of_true, below_of_false = (
        torch.searchsorted(some.sort().values, levels).double() / max(1, len(some))
        for some in (values[is_true], values[~is_true])
    )
    return (below_of_true + 1 - below_of_false) / 2


def _best_threshold(levels: Tensor, errors: Tensor) -> float:
    """Returns the middle between the level of the least error and the level below it.

    Of several such levels, the middle one is taken.

    Args:
        levels: Sorted, shape: (L,), dtype: float64.
        errors: shape: (L,), dtype: float64.
    """
    best = (errors <= errors.min() + 1e-12).nonzero().flatten()
    level = int(best[len(best) // 2])
    below = levels[level - 1] if level else torch.zeros(())
    return round(float((levels[level] + below) / 2), DIGITS)
