"""Finds facts of train that look wrong, most suspicious first.

A model learns every fact of train, wrong ones too, so its fit says little of a single one. A fact
is therefore rated without its own help. The affinities of head and tail to the relation are
estimated from the other facts: an entity seldom has a relation that its kind lacks. The channels of
image and text have no parameters of single entities, so they hardly memorise: a wrong end surprises
them. The suspicion of a fact is the sum of these three surprises, in nats.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from imf_core.base.bounds import sample_facts
from imf_core.base.modality import find_modalities
from imf_core.base.terminal import track
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import known_tails_in, with_inverses
from imf_core.inference.fact_table import FactTable
from imf_core.inference.plausibility import estimate_own_affinities
from imf_core.model.decision import Candidates
from imf_core.model.scorer import Scorer

SEED = 0
"""Of the sample of facts on a large graph."""


@dataclass(frozen=True)
class Suspicions:
    """Ratings of N facts of train.

    Attributes:
        facts: (head, relation, tail), shape: (N, 3), dtype: int64.
        affinity: Share of entities similar to head and tail that have the relation, estimated
            without the fact, shape: (N, 2), dtype: float32.
        surprise: Mean of -log p(tail | head, relation) and -log p(head | relation, tail) among the
            answers that train does not know, over the channels of features that take part; zero
            without any, shape: (N,), dtype: float64.
        suspicion: `surprise` minus the logarithms of both affinities, shape: (N,), dtype: float64.
    """

    facts: NDArray[np.int64]
    affinity: NDArray[np.float32]
    surprise: NDArray[np.float64]
    suspicion: NDArray[np.float64]


def rate_train(graph: Graph, scorer: Scorer) -> Suspicions:
    """Rates the facts of train, on a large graph a sample of them (`sample_facts`).

    Args:
        graph: Train is read.
        scorer: The model trained on it.
    """
    facts = sample_facts(graph.triples["train"], graph.num_entities, SEED)
    known = known_tails_in(graph, ["train"])
    both = with_inverses(facts, graph.num_relations)
    affinity = estimate_own_affinities(known, graph.num_relations, both[:, :2])
    affinity = affinity.reshape(2, -1).T
    surprise = _surprise(graph, scorer, both).numpy()
    suspicion = surprise - np.log(affinity.astype(np.float64)).sum(axis=1)
    return Suspicions(facts.numpy(), affinity, surprise, suspicion)


def find_suspicious(graph: Graph, scorer: Scorer, count: int) -> pa.Table:
    """Returns the facts of train that look wrong, most suspicious first.

    Args:
        graph: Train is read.
        scorer: The model trained on it.
        count: Facts, at most.

    Returns:
        At most `count` rows: labels and names of head, relation and tail, `suspicion`,
        `affinity_head`, `affinity_tail`, `surprise` (float64, see `Suspicions`).
    """
    rated = rate_train(graph, scorer)
    first = np.argsort(-rated.suspicion, kind="stable")[:count]
    return pa.table(
        {
            **FactTable(graph, scorer.channel_names).name(rated.facts[first]),
            "suspicion": rated.suspicion[first],
            "affinity_head": rated.affinity[first, 0].astype(np.float64),
            "affinity_tail": rated.affinity[first, 1].astype(np.float64),
            "surprise": rated.surprise[first],
        }
    )


def _surprise(graph: Graph, scorer: Scorer, both: Tensor) -> Tensor:
    """Returns `Suspicions.surprise` of facts with their inverses, shape: (2N, 3) -> (N,)."""
    names = {modality.channel for modality in find_modalities().values()}
    channels = [place for place, name in enumerate(scorer.channel_names) if name in names]
    known = known_tails_in(graph, ["train"])
    total = torch.zeros(len(both), dtype=torch.float64)
    count = torch.zeros(len(both), dtype=torch.float64)
    if channels:
        size = scorer.probability_batch_size(len(both))
        places = torch.arange(len(both)).split(size)
        for place in track(places, "facts of train, batches", len(places)):
            queries, tails = both[place, :2], both[place, 2].to(scorer.device)
            scores = scorer.score_all_tails(queries)
            rows = torch.arange(len(queries), device=scorer.device)
            for channel in channels:
                candidates = Candidates(scores.log_probs[:, channel], *known.lookup(queries))
                takes_part = scores.takes_part[:, channel].double()
                surprise = softplus(-candidates.log_odds(rows, tails))
                total[place] += (surprise * takes_part).cpu()
                count[place] += takes_part.cpu()
    return total.view(2, -1).sum(dim=0) / count.view(2, -1).sum(dim=0).clamp_min(1)
