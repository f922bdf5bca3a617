"""Relation questions on the page: (head, ?, tail) of test pairs that train does not relate."""

from dataclasses import dataclass

import torch
from torch import Tensor

from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import known_tails_in
from imf_core.inference.fact_scores import FactScorer
from imf_core.inference.plausibility import FurtherAnswers, estimate_affinities
from imf_core.inference.relation_answers import find_affinities
from imf_core.model.decision import Calibration
from imf_core.model.scorer import Scorer
from imf_core.report.examples import spread

MAX_PAIRS = 200
MAX_FACTS = 400
"""Facts scored; only relations with an affinity are."""

EXAMPLES = 6
"""Shown at most, of different relations as far as there are."""


@dataclass(frozen=True)
class RelationExample:
    """The first answer about one pair.

    Attributes:
        head: Entity id.
        tail: Entity id.
        relation: The answer.
        probability: Of the fact, calibrated, times the affinity.
        is_confirmed: Whether valid or test has the fact.
    """

    head: int
    tail: int
    relation: int
    probability: float
    is_confirmed: bool


@dataclass(frozen=True)
class RelationQuestions:
    """First answers about pairs of test that train does not relate.

    Attributes:
        asked: Number of pairs.
        confirmed: First answers that are facts of valid or test.
        frequent: The same of the rule that gives every pair the most frequent relation of train.
        examples: The most probable answers.
    """

    asked: int
    confirmed: int
    frequent: int
    examples: list[RelationExample]


def ask_relations(scorer: Scorer, calibration: Calibration, graph: Graph) -> RelationQuestions:
    """Asks for the relation of pairs of test.

    A relation without affinity has the probability zero, so it is not scored. A pair without any
    relation of positive affinity has no answer.

    Args:
        scorer: The trained model.
        calibration: Fitted for it.
        graph: Its graph.
    """
    pairs = find_unrelated_pairs(graph)
    if not len(pairs):
        return RelationQuestions(0, 0, 0, [])
    known = known_tails_in(graph, ["train"])
    affinity = find_affinities(estimate_affinities(known, graph.num_relations), pairs)
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0))
    num_facts = (affinity[order] > 0).sum(dim=1).cumsum(0)
    chosen = order[: int((num_facts <= MAX_FACTS).sum())].sort().values
    pairs, affinity = pairs[chosen], affinity[chosen]
    row, relation = (affinity > 0).nonzero(as_tuple=True)
    facts = torch.stack([pairs[row, 0], relation, pairs[row, 1]], dim=1)
    fact_scorer = FactScorer(scorer, calibration, known, FurtherAnswers(graph))
    probability = torch.zeros(len(pairs), graph.num_relations, dtype=torch.float64)
    probability[row, relation] = fact_scorer.score(facts).probability * affinity[row, relation]
    best, first = probability.max(dim=1)
    is_true = _is_held_out(graph, pairs, first) & (best > 0)
    frequency = graph.triples["train"][:, 1].bincount(minlength=graph.num_relations)
    most_frequent = frequency.argmax().expand(len(pairs))
    found = [
        RelationExample(head, tail, answer, value, confirmed)
        for (head, tail), answer, value, confirmed in zip(
            pairs.tolist(), first.tolist(), best.tolist(), is_true.tolist(), strict=True
        )
        if value > 0
    ]
    return RelationQuestions(
        asked=len(pairs),
        confirmed=int(is_true.sum()),
        frequent=int(_is_held_out(graph, pairs, most_frequent).sum()),
        examples=_choose(found),
    )


def find_unrelated_pairs(graph: Graph) -> Tensor:
    """Returns the distinct pairs of test that no train fact joins, in either direction.

    Returns:
        An evenly spaced sample of at most `MAX_PAIRS`, shape: (P, 2), dtype: long.
    """
    train, test = (graph.triples[split][:, [0, 2]] for split in ("train", "test"))
    joined = torch.cat([train, train.flip(1)])
    keys, known = (each[:, 0] * graph.num_entities + each[:, 1] for each in (test, joined))
    distinct = keys[~torch.isin(keys, known)].unique()
    distinct = distinct[:: max(1, -(-len(distinct) // MAX_PAIRS))]
    return torch.stack([distinct // graph.num_entities, distinct % graph.num_entities], dim=1)


def _is_held_out(graph: Graph, pairs: Tensor, relations: Tensor) -> Tensor:
    """Returns whether valid or test has the facts, shapes: (P, 2), (P,) -> (P,)."""
    held_out = known_tails_in(graph, ["valid", "test"])
    return held_out.contains(torch.stack([pairs[:, 0], relations], dim=1), pairs[:, 1])


def _choose(found: list[RelationExample]) -> list[RelationExample]:
    """Chooses the most probable answer of each relation, then the next one of each."""
    found = sorted(found, key=lambda each: -each.probability)
    return [found[place] for place in spread([each.relation for each in found], EXAMPLES)]
