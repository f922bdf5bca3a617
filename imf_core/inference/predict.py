"""Predicts facts that train does not hold, and says which modality spoke for each."""

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from imf_core.config import PredictParams
from imf_core.data.graph import Graph
from imf_core.data.known_tails import known_tails_in
from imf_core.inference.answers import as_facts, concatenate, find_answers
from imf_core.inference.candidates import plausible_queries, share_with_room
from imf_core.inference.fact_table import FactTable
from imf_core.model.calibration import Calibration
from imf_core.model.scorer import Scorer

BATCH = 512


def predict_facts(
    scorer: Scorer, calibration: Calibration, graph: Graph, params: PredictParams
) -> pa.Table:
    """Finds the most probable facts that are not in train.

    Every plausible query is asked in both directions; a fact found twice keeps its better score.
    Facts of valid and test, which the heads have not learned from, are marked, so that one can see
    how many of the answers are confirmed; the others are new. A new fact is left out where one of
    its two questions is answered by some split and others like it seldom have a further answer
    (`params.min_relation_affinity`). An entity answers a query about itself only where train has
    loops of the relation.

    Args:
        scorer: The trained model.
        calibration: Fitted for it.
        graph: Its graph.
        params: Section `predict` of the parameters.

    Returns:
        `params.top_k` rows or fewer, most probable first, with the columns of `FactTable`.
    """
    train = known_tails_in(graph, ["train"])
    queries = plausible_queries(
        train, graph.num_relations, params.min_relation_affinity, params.max_queries
    )
    batches = tqdm(
        queries.split(scorer.probability_batch_size(BATCH)),
        desc="predict",
        disable=None,
        leave=False,
    )
    found = concatenate(
        find_answers(scorer, calibration, batch, train, params.answers_per_query)
        for batch in batches
    )
    found = found.select(torch.argsort(found.probability, descending=True, stable=True))
    facts = as_facts(found, graph.num_relations)
    _, first = np.unique(facts, axis=0, return_index=True)
    first.sort()
    is_kept = _fits_in(facts[first], graph, params.min_relation_affinity)
    best = found.select(torch.from_numpy(first[is_kept][: params.top_k]))
    return FactTable(graph, scorer.head_names).write(best)


def _fits_in(facts: NDArray[np.int64], graph: Graph, least_share: float) -> NDArray[np.bool_]:
    """Tells which facts some split holds or has room for, shape: (N, 3) -> (N,)."""
    known = known_tails_in(graph)
    rows, tails = known.lookup(torch.from_numpy(facts[:, :2]))
    is_held = np.zeros(len(facts), dtype=bool)
    is_held[rows[tails == torch.from_numpy(facts[:, 2])[rows]].numpy()] = True
    room = share_with_room(known, facts, graph.num_relations).numpy()
    return np.asarray(is_held | (room >= least_share))
