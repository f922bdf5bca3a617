"""Relation prediction is ranked by several rules."""

import numpy as np

from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import known_tails_in
from imf_core.inference.fact_scores import FactScorer
from imf_core.inference.plausibility import FurtherAnswers
from imf_core.model.decision import Calibration
from imf_core.model.imf import IMF
from imf_core.model.scorer import Scorer
from recipes.relations import FREQUENCY, SPLITS, _format, rank_by_rules

CALIBRATION = Calibration(slope=1.0, offset=0.0, shown=10, answers=9, true_answers=3)


def test_each_rule_ranks_every_held_out_fact_and_the_model_beats_frequencies(
    trained: IMF, graph: Graph
) -> None:
    known = known_tails_in(graph, ["train"])
    scorer = FactScorer(Scorer(trained), CALIBRATION, known, FurtherAnswers(graph))
    found = rank_by_rules(scorer, graph)
    for of_splits in found.values():
        for split in SPLITS:
            ranks = of_splits[split]
            assert len(ranks) == len(graph.triples[split])
            assert ((ranks >= 1) & (ranks <= graph.num_relations)).all()
    mrr = {rule: (1 / each["test"]).mean() for rule, each in found.items()}
    assert mrr["`predict_relations`"] > max(0.8, mrr[FREQUENCY])


def test_cells_are_means_and_deviations_in_per_cent() -> None:
    one, other = ({split: np.array(ranks) for split in SPLITS} for ranks in ([1.0, 2.0], [1.0]))
    assert _format([one, other]) == ["87.5 ± 17.7", "75.0 ± 35.4"] * 2
    assert _format([one]) == ["75.0", "50.0"] * 2
