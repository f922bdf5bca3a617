"""Finds facts of train that look wrong, most suspicious first.

A model learns every fact of train, wrong ones too, so its fit says little of a single one. A fact
is therefore rated without its own help, by three surprises in nats:

- of the ends: an entity seldom has a relation that similar entities lack (`plausibility`);
- of the number of answers: a country with two capitals has a wrong one;
- of the channels of image and text: they have no parameters of single entities, so they hardly
  memorise, and a wrong end surprises them.

The suspicion is their sum above the mean of the relation, since some relations are hard to predict.
`python -m recipes.suspects` measures it.
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
from imf_core.graph.known_tails import KnownTails, known_tails_in, with_inverses
from imf_core.inference.fact_table import FactTable
from imf_core.inference.plausibility import estimate_own_affinities
from imf_core.model.decision import Candidates
from imf_core.model.scorer import Scorer

SEED = 0
"""Of the sample of facts on a large graph."""

PULL = 20
"""Weight of the mean of all facts in the mean of a relation, in facts of that relation."""


@dataclass(frozen=True)
class Suspicions:
    """Ratings of N facts of train.

    Attributes:
        facts: (head, relation, tail), shape: (N, 3), dtype: int64.
        affinity: Share of entities similar to head and tail that have the relation, estimated
            without the fact, shape: (N, 2), dtype: float32.
        further: Share of the other questions with as many further answers as this fact has beside
            it that have one more, the smaller one of both questions; one without any other answer,
            shape: (N,), dtype: float64.
        surprise: Mean of -log p(tail | head, relation) and -log p(head | relation, tail) among the
            answers that train does not know, over the channels of features that take part; zero
            without any, shape: (N,), dtype: float64.
        suspicion: `surprise` minus the logarithms of both affinities and of `further`, above its
            mean over the relation, shape: (N,), dtype: float64.
    """

    facts: NDArray[np.int64]
    affinity: NDArray[np.float32]
    further: NDArray[np.float64]
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
    further = _share_with_another(known, both[:, :2]).reshape(2, -1).min(axis=0)
    surprise = _surprise(known, scorer, both).numpy()
    total = surprise - np.log(affinity.astype(np.float64)).sum(axis=1) - np.log(further)
    relations = facts[:, 1].numpy()
    sums = np.bincount(relations, total, minlength=graph.num_relations)
    counts = np.bincount(relations, minlength=graph.num_relations)
    usual = (sums + PULL * total.mean()) / (counts + PULL)
    return Suspicions(facts.numpy(), affinity, further, surprise, total - usual[relations])


def find_suspicious(graph: Graph, scorer: Scorer, count: int) -> pa.Table:
    """Returns the facts of train that look wrong, most suspicious first.

    Args:
        graph: Train is read.
        scorer: The model trained on it.
        count: Facts, at most.

    Returns:
        At most `count` rows: labels and names of head, relation and tail, `suspicion`,
        `affinity_head`, `affinity_tail`, `further`, `surprise` (float64, see `Suspicions`).
    """
    rated = rate_train(graph, scorer)
    first = np.argsort(-rated.suspicion, kind="stable")[:count]
    return pa.table(
        {
            **FactTable(graph, scorer.channel_names).name(rated.facts[first]),
            "suspicion": rated.suspicion[first],
            "affinity_head": rated.affinity[first, 0].astype(np.float64),
            "affinity_tail": rated.affinity[first, 1].astype(np.float64),
            "further": rated.further[first],
            "surprise": rated.surprise[first],
        }
    )


def _share_with_another(known: KnownTails, queries: Tensor) -> NDArray[np.float64]:
    """Returns `Suspicions.further` of known queries, shape: (Q, 2) -> (Q,).

    The query itself is left out; one question with and one without a further answer are added.
    """
    answers, relations = known.offsets.diff(), known.queries[:, 1]
    count, relation = answers[known.find(queries)], queries[:, 1]
    step = int(answers.max()) + 1
    keys = (relations * step + answers).sort().values
    ends = torch.searchsorted(keys, (relation + 1) * step)
    with_one, with_all = (
        ends - torch.searchsorted(keys, relation * step + least) for least in (count - 1, count)
    )
    share = with_all / (with_one + 1).double()
    return share.masked_fill(count == 1, 1.0).numpy()


def _surprise(known: KnownTails, scorer: Scorer, both: Tensor) -> Tensor:
    """Returns `Suspicions.surprise` of facts with their inverses, shape: (2N, 3) -> (N,)."""
    names = {modality.channel for modality in find_modalities().values()}
    channels = [place for place, name in enumerate(scorer.channel_names) if name in names]
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
