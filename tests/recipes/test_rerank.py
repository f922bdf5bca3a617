"""The re-ranking of the first answers: ranks before it, and by new scores."""

import numpy as np
import pytest
import torch

from imf_core.evaluation.ranking import COMBINED, rank_triples
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import known_tails_in
from imf_core.inference.plausibility import estimate_affinities
from imf_core.model.imf import IMF
from imf_core.model.scorer import Scorer
from recipes.rerank import Context, Shown, collect, cross_rank, rank_anew


@pytest.fixture
def context(graph: Graph, trained: IMF) -> Context:
    train = known_tails_in(graph, ["train"])
    sizes = torch.cat([train.offsets.diff(), torch.zeros(1, dtype=torch.long)])
    affinities = estimate_affinities(train, graph.num_relations)
    return Context(graph, Scorer(trained), train, sizes, affinities)


def test_ranks_before_are_those_of_the_evaluation(context: Context) -> None:
    graph = context.graph
    known = known_tails_in(graph)
    ranked = rank_triples(
        context.scorer, graph.triples["test"], known, graph.num_relations, 64, "test"
    )
    shown = collect(context, "test", ["train", "valid", "test"])
    assert sorted(shown.ranks) == pytest.approx(sorted(ranked.ranks[COMBINED].ravel()))
    assert np.isfinite(shown.features[shown.is_true]).all()


def test_cross_ranks_are_ranks(context: Context) -> None:
    valid = collect(context, "valid", ["train", "valid"])
    ranks = cross_rank(valid)
    assert ranks.shape == valid.ranks.shape
    assert (ranks >= 1).all()


def test_new_scores_order_the_first_answers_and_no_others() -> None:
    is_true = np.array([[False, False, True], [False, True, False], [False, False, False]])
    shown = Shown(np.zeros((3, 3, 1), np.float32), is_true, np.array([3.0, 2.0, 9.0], np.float32))
    scores = np.array([[0.1, 0.2, 0.9], [0.5, 0.5, 0.1], [0.3, 0.2, 0.1]], np.float32)
    assert rank_anew(shown, scores).tolist() == [1.0, 1.5, 9.0]
