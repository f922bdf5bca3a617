"""Ranks any model that scores all tails of a query with the library's ranking."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from imf_core.data.graph import Graph
from imf_core.data.known_tails import find_loops, known_tails_in
from imf_core.evaluation.metrics import rank_metrics
from imf_core.evaluation.ranking import COMBINED, RankTable, rank_triples
from imf_core.processes import unsharded

Score = Callable[[Tensor], Tensor]
"""Maps (head, relation with inverses), shape: (B, 2), to scores of entities, shape: (B, E)."""

BATCH_SIZE = 512


class PlainScorer:
    """Scores of a model without channels.

    Args:
        score: The model.
        num_entities: E.
        loops: Whether a relation joins an entity to itself in train, shape: (2R,), dtype: bool.
            The query's own entity ranks last for the others; None ranks it like any entity.
    """

    channel_names: tuple[str, ...] = ()
    device = torch.device("cpu")

    def __init__(self, score: Score, num_entities: int, loops: Tensor | None = None) -> None:
        self.shard = unsharded(num_entities)
        self._score, self._loops = score, loops

    def batch_size(self, wanted: int) -> int:
        """Returns the number of queries to score at once."""
        return wanted

    @torch.no_grad()
    def scores(self, queries: Tensor) -> Iterator[Tensor]:
        """Yields the scores of a batch of queries, once for the only model."""
        scores = self._score(queries)
        if self._loops is not None:
            heads, relations = queries.unbind(dim=1)
            rows = (~self._loops[relations]).nonzero().flatten()
            scores[rows, heads[rows]] = scores.min() - 1
        yield scores


def rank(score: Score, graph: Graph, split: str, *, leave_out_own: bool = False) -> RankTable:
    """Ranks the facts of a split in both directions.

    Args:
        score: The model.
        graph: Valid is filtered by train and valid, test by all facts.
        split: `valid` or `test`.
        leave_out_own: Rank the query's own entity last where train has no loop of the relation.
    """
    known = known_tails_in(graph, ["train", "valid", "test"][: 2 if split == "valid" else 3])
    scorer = PlainScorer(score, graph.num_entities, find_loops(graph) if leave_out_own else None)
    return rank_triples(scorer, graph.triples[split], known, graph.num_relations, BATCH_SIZE)


def mrr(table: RankTable) -> float:
    """Returns the mean reciprocal rank."""
    return rank_metrics(table.ranks[COMBINED], table.num_candidates)["mrr"]
