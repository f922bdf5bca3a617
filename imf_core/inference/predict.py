"""Predicts facts that train lacks, with the support of each channel."""

import numpy as np
import pyarrow as pa
import torch
from tqdm import tqdm

from imf_core.config import PredictParams
from imf_core.data.graph import Graph
from imf_core.data.known_tails import known_tails_in
from imf_core.inference.answers import as_facts, concatenate, find_answers
from imf_core.inference.candidates import Acceptance, plausible_queries
from imf_core.inference.fact_table import FactTable
from imf_core.inference.kinds import estimate_affinities
from imf_core.inference.used_up import FurtherAnswers
from imf_core.model.calibration import Calibration
from imf_core.model.scorer import Scorer

BATCH = 512


def predict_facts(
    scorer: Scorer, calibration: Calibration, graph: Graph, params: PredictParams
) -> pa.Table:
    """Finds the most probable facts that are not in train.

    Every plausible query is asked in both directions; a fact found twice keeps its better score.
    Only answers that `Acceptance` accepts are kept. `known_in` marks facts of valid and test, which
    the channels have not learned from and which confirm a prediction; the others are new. An
    entity answers a query about itself only where train has loops of the relation.

    Args:
        scorer: The trained model.
        calibration: Fitted for the model.
        graph: Its graph.
        params: Section `predict` of the parameters.

    Returns:
        At most `params.top_k` new facts and `params.confirmed_top_k` facts of valid and test, most
        probable first, with the columns of `FactTable`.
    """
    train = known_tails_in(graph, ["train"])
    least = params.min_relation_affinity
    affinities = estimate_affinities(train, graph.num_relations)
    queries = plausible_queries(train, graph.num_relations, least, params.max_queries, affinities)
    further = FurtherAnswers(graph)
    acceptance = Acceptance(graph, affinities, further, least)
    batches = tqdm(
        queries.split(scorer.probability_batch_size(BATCH)),
        desc="predict",
        disable=None,
        leave=False,
    )
    found = concatenate(
        find_answers(
            scorer,
            calibration,
            batch,
            train,
            params.answers_per_query,
            [acceptance.accepted(batch)],
        )
        for batch in batches
    )
    found = further.weigh(found)
    found = found.select(torch.argsort(found.probability, descending=True, stable=True))
    facts = as_facts(found, graph.num_relations)
    _, first = np.unique(facts, axis=0, return_index=True)
    first.sort()
    is_new = ~further.is_known(facts[first])
    bound = np.where(is_new, params.top_k, params.confirmed_top_k)
    rank = np.where(is_new, is_new.cumsum(), (~is_new).cumsum())
    best = found.select(torch.from_numpy(first[rank <= bound]))
    return FactTable(graph, scorer.channel_names).write(best)
