"""False facts for measurements of triple classification: made at a seed, or read from files.

`CoDEx` (EMNLP 2020, arXiv 2009.07810) has files of false facts beside valid and test; theirs were
checked by people. Facts that are made here are in no split, but may be true.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from imf_core.base.errors import DataError, QuestionError
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import known_tails_in, with_inverses
from imf_core.inference.completer import Completer
from imf_core.inference.fact_scores import TRIES, corrupt
from imf_core.model.scorer import Scorer
from imf_core.sources.formats import read_label_triples

FIRST_ANSWERS = 10


def draw_random(graph: Graph, facts: Tensor, splits: Sequence[str], seed: int) -> Tensor:
    """Replaces the tail, then the head of facts by any other entity.

    Args:
        graph: The graph.
        facts: shape: (N, 3), dtype: long.
        splits: Their facts are not drawn.
        seed: Of the draws.

    Returns:
        shape: (at most 2N, 3), dtype: long.
    """
    generator = torch.Generator().manual_seed(seed)
    known, drawn = known_tails_in(graph, splits), []
    for end in (2, 0):
        false, is_open = facts.clone(), torch.ones(len(facts), dtype=torch.bool)
        for _ in range(TRIES):
            entities = torch.randint(graph.num_entities, (len(facts),), generator=generator)
            false[is_open, end] = entities[is_open]
            is_open &= known.contains(false[:, :2], false[:, 2]) | (false[:, 0] == false[:, 2])
        drawn.append(false[~is_open])
    return torch.cat(drawn)


def draw_of_role(graph: Graph, facts: Tensor, splits: Sequence[str], seed: int) -> Tensor:
    """Replaces the tail, then the head of facts by entities with the same role; see `corrupt`."""
    return corrupt(facts, graph, splits, seed)


def draw_first_answers(
    scorer: Scorer, graph: Graph, facts: Tensor, splits: Sequence[str], seed: int
) -> Tensor:
    """Replaces the tail, then the head of facts by one of the first ten answers of the model.

    Args:
        scorer: The model.
        graph: The graph.
        facts: shape: (N, 3), dtype: long.
        splits: Their facts are not drawn.
        seed: Of the draws.

    Returns:
        shape: (at most 2N, 3), dtype: long.
    """
    generator = torch.Generator().manual_seed(seed)
    known, drawn = known_tails_in(graph, splits), []
    both = with_inverses(facts, graph.num_relations)[:, :2]
    for queries in both.split(scorer.probability_batch_size(len(both))):
        scores = scorer.score_all_tails(queries).combined.cpu()
        rows, tails = known.lookup(queries)
        scores[rows, tails] = -torch.inf
        count = min(FIRST_ANSWERS, graph.num_entities)
        best = scores.topk(count, dim=1)
        place = torch.randint(count, (len(queries), 1), generator=generator)
        tail, score = best.indices.gather(1, place), best.values.gather(1, place)
        false = torch.cat([queries, tail], dim=1)
        drawn.append(false[score[:, 0].isfinite()])
    head, relation, tail = torch.cat(drawn).unbind(dim=1)
    is_inverse = relation >= graph.num_relations
    return torch.stack(
        [
            torch.where(is_inverse, tail, head),
            relation % graph.num_relations,
            torch.where(is_inverse, head, tail),
        ],
        dim=1,
    )


def read_negatives(completer: Completer, path: Path) -> Tensor:
    """Reads false facts, tab-separated labels of head, relation and tail.

    Returns:
        shape: (N, 3), dtype: long.

    Raises:
        DataError: If the file cannot be read, or a label is not in the graph.
    """
    found = read_label_triples(path)
    entities, relations = completer.entities, completer.relations
    try:
        facts = [
            (entities.find(head), relations.find(relation), entities.find(tail))
            for head, relation, tail in zip(found.heads, found.relations, found.tails, strict=True)
        ]
    except QuestionError as error:
        raise DataError(f"{path}: {error}; use the labels of the graph") from error
    return torch.tensor(facts)
