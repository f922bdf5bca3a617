"""Predicts facts that train lacks, with the support of each channel.

`predict` asks about an entity and a relation if similar entities have the relation, or if train has
answers and such questions mostly have more. It accepts an answer if similar entities answer the
relation and neither of the fact's two questions is used up.
"""

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from imf_core.base.bounds import max_predicted_queries
from imf_core.base.config import PredictParams
from imf_core.base.terminal import track
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import SETTLED, KnownTails, known_tails_in
from imf_core.inference.answers import Answers, as_facts, concatenate, find_answers
from imf_core.inference.fact_table import FactTable
from imf_core.inference.plausibility import (
    Affinities,
    FurtherAnswers,
    estimate_affinities,
    share_with_more,
)
from imf_core.inference.reasons import PATH, explain
from imf_core.model.decision import Calibration
from imf_core.model.scorer import Scorer

DEFAULT_AFFINITY = 0.5
"""Default of `predict.min_relation_affinity`: half of the similar entities have the relation."""

SHARE_OF_ANSWERS = 0.2
"""Least affinity of an answer, as a share of the least affinity of a question. A right answer may
be rare among its kind: few rivers flow through a city, but no currency does."""


def plausible_queries(
    known: KnownTails,
    num_relations: int,
    min_affinity: float,
    max_queries: int,
    affinities: Affinities | None = None,
) -> Tensor:
    """Lists plausible queries (entity, relation with inverses).

    `estimate_affinities` gives the affinity of an entity to a relation that it lacks,
    `share_with_more` to a relation that it has: high for borders, low for capitals.

    Args:
        known: Facts that count as known, with inverses.
        num_relations: R.
        min_affinity: Least affinity of a query.
        max_queries: Number of queries of highest affinity to keep; ties are in order of entity,
            relation.
        affinities: Affinities of the known facts, None to estimate them.

    Returns:
        Most plausible first, shape: (Q, 2), dtype: long.
    """
    affinities = affinities or estimate_affinities(known, num_relations)
    entity, relation, affinity = affinities.at_least(min_affinity)
    more = share_with_more(known)
    is_kept = more >= min_affinity
    queries = np.concatenate([np.stack([entity, relation], 1), known.queries.numpy()[is_kept]])
    values = np.concatenate([affinity, more[is_kept]])
    order = np.lexsort([queries[:, 1], queries[:, 0], -values])[:max_queries]
    return torch.from_numpy(queries[order])


class Acceptance:
    """The answers that `predict` accepts.

    Args:
        graph: The graph.
        affinities: Affinities of its train facts.
        further: Estimates for its questions.
        min_affinity: Refuses answers with an affinity to the relation below `SHARE_OF_ANSWERS`
            times this value. Also refuses new facts if one of their two questions has known answers
            and fewer than this share of such questions have more.
    """

    def __init__(
        self, graph: Graph, affinities: Affinities, further: FurtherAnswers, min_affinity: float
    ) -> None:
        self._num_relations, self._known = graph.num_relations, known_tails_in(graph)
        self._signature_ids = affinities.signature_ids
        self._fits = affinities.members(SHARE_OF_ANSWERS * min_affinity)
        self._further, self._least_share = further, min_affinity

    def accepted(self, queries: Tensor) -> Tensor:
        """Returns which answers to some queries are accepted.

        Args:
            queries: (entity, relation with inverses), shape: (B, 2), dtype: long, on the CPU.

        Returns:
            shape: (B, E), dtype: bool.
        """
        relation = (queries[:, 1] + self._num_relations) % (2 * self._num_relations)
        inverses, place = np.unique(relation.numpy(), return_inverse=True)
        fits = self._fits[:, inverses].toarray().T[place][:, self._signature_ids]
        accepted = torch.from_numpy(fits) & ~self._further.used_up(queries, self._least_share)
        known = self._known.lookup(queries)
        accepted[known] = torch.from_numpy(fits)[known]
        return accepted


BATCH = 512


def predict_facts(
    scorer: Scorer, calibration: Calibration, graph: Graph, params: PredictParams
) -> pa.Table:
    """Finds the most probable facts that are not in train.

    Every plausible query is asked in both directions; a fact found twice keeps its better score.
    Facts that people have decided are left out.
    Only answers that `Acceptance` accepts are kept. `known_in` marks facts of valid and test, which
    the channels have not learned from and which confirm a prediction; the others are new. An
    entity answers a query about itself only where train has loops of the relation.
    On a large graph, fewer than `params.max_queries` are asked (`imf_core.base.bounds`).

    Args:
        scorer: The trained model.
        calibration: Fitted for the model.
        graph: Its graph.
        params: Section `predict` of the parameters.

    Returns:
        At most `params.top_k` new facts and `params.confirmed_top_k` facts of valid and test, most
        probable first, with the columns of `FactTable.write` and `reasons` (list of
        `reasons.PATH`, empty without a channel of paths).
    """
    train = known_tails_in(graph, ["train"])
    least = params.min_relation_affinity
    affinities = estimate_affinities(train, graph.num_relations)
    most = min(params.max_queries, max_predicted_queries(graph.num_entities))
    queries = plausible_queries(train, graph.num_relations, least, most, affinities)
    further = FurtherAnswers(graph)
    acceptance = Acceptance(graph, affinities, further, least)
    settled = known_tails_in(graph, SETTLED)
    batches = queries.split(scorer.probability_batch_size(BATCH))
    found = concatenate(
        find_answers(
            scorer,
            calibration,
            batch,
            settled,
            params.answers_per_query,
            [acceptance.accepted(batch)],
        )
        for batch in track(batches, "predict, batches", len(batches))
    )
    found = further.weigh(found)
    found = found.select(torch.argsort(found.probability, descending=True, stable=True))
    facts = as_facts(found.answered, graph.num_relations)
    _, first = np.unique(facts, axis=0, return_index=True)
    first.sort()
    is_new = ~further.is_known(facts[first])
    bound = np.where(is_new, params.top_k, params.confirmed_top_k)
    rank = np.where(is_new, is_new.cumsum(), (~is_new).cumsum())
    best = found.select(torch.from_numpy(first[rank <= bound]))
    table = FactTable(graph, scorer.channel_names).write(best)
    return table.append_column("reasons", _explain(scorer, graph, best))


def _explain(scorer: Scorer, graph: Graph, answers: Answers) -> pa.Array:
    """Returns the paths of each answer that a channel of paths supports."""
    paths = scorer.model.paths
    if paths is None:
        return pa.array([[]] * len(answers.answered), pa.list_(PATH))
    return explain(paths.network, paths.graph, graph, answers.answered)
