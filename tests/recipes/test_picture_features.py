"""Image features are compared by the ranks of two models."""

import numpy as np
import torch

from imf_core.evaluation.ranking import COMBINED, RankTable
from imf_core.graph.feature_table import FeatureTable
from recipes.pictures import SPLITS, VISUAL, Ranked, format_rows


def ranked(visual: list[float], combined: list[float]) -> Ranked:
    """Ranks of two facts, both directions."""
    table = RankTable(
        queries=np.array([[0, 0], [1, 0], [0, 1], [1, 1]]),
        answers=np.zeros(4, dtype=np.int64),
        is_head_query=np.array([False, False, True, True]),
        ranks={VISUAL: np.array(visual), COMBINED: np.array(combined)},
        num_candidates=np.full(4, 9),
    )
    return dict.fromkeys(SPLITS, table)


def test_the_visual_channel_counts_where_the_entity_has_a_picture() -> None:
    features = {
        name: FeatureTable(torch.ones(2, width), torch.tensor([True, False]), {})
        for name, width in (("old", 3), ("new", 5))
    }
    found = {
        "old": [ranked([1, 9, 2, 9], [2, 2, 2, 2])],
        "new": [ranked([1, 9, 1, 9], [1, 1, 1, 1])],
    }
    lines = format_rows([0], features, found, {"old": [10.0], "new": [12.0]})
    assert lines[2] == "| `old` | 1 | 3 | 75.0 | 75.0 | 50.0 | 50.0 |  | 10 |"
    assert lines[3].startswith("| `new` | 1 | 5 | 100.0 | 100.0 | 100.0 | 100.0 | +50.0 [")
