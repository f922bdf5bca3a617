"""Measures a re-ranking of the first answers: `python -m recipes.rerank`.

The workspace's trained model gives the first `SHOWN` answers to each question. Boosted trees score
these answers anew; `_describe` lists their features. On valid the trees are cross-fitted: each
third of its facts is scored by trees of the others. The trees for test are fitted on all of valid,
and test is ranked once. Answers behind the first ones keep their ranks. Prints filtered MRR before
and after, both directions; valid is filtered by train and valid.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import Tensor

from imf_core.base.terminal import track
from imf_core.graph.graph import Graph, count_train_facts
from imf_core.graph.known_tails import KnownTails, known_tails_in, with_inverses
from imf_core.inference.plausibility import Affinities, estimate_affinities
from imf_core.model.saved import load_model
from imf_core.model.scorer import ChannelScores, Scorer
from recipes.environment import make_table
from stages.inputs import load_inputs
from stages.paths import MODEL
from stages.runner import run_stage

SHOWN = 50
FOLDS = 3
TREES, LEAVES, LEARNING_RATE = 200, 16, 0.05

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Shown:
    """The first answers to the N questions of a split, facts first, then inverses.

    Attributes:
        features: shape: (N, SHOWN, F), dtype: float32.
        is_true: Whether the answer is that of the fact, shape: (N, SHOWN), dtype: bool.
        ranks: Rank of the fact's answer by the decision, shape: (N,), dtype: float32.
    """

    features: Floats
    is_true: NDArray[np.bool_]
    ranks: Floats


@dataclass(frozen=True)
class Context:
    """What features are made of.

    Attributes:
        graph: The graph.
        scorer: The trained model.
        train: Facts of train.
        sizes: Answers to each query of `train`, and a zero for all others, shape: (Q + 1,),
            dtype: long.
        affinities: Of the entities to the relations.
    """

    graph: Graph
    scorer: Scorer
    train: KnownTails
    sizes: Tensor
    affinities: Affinities


def main() -> None:
    """Prints the table."""
    argparse.ArgumentParser(
        "python -m recipes.rerank",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    graph, tables = load_inputs()
    train = known_tails_in(graph, ["train"])
    context = Context(
        graph,
        Scorer(load_model(MODEL, graph, tables)),
        train,
        torch.cat([train.offsets.diff(), torch.zeros(1, dtype=torch.long)]),
        estimate_affinities(train, graph.num_relations),
    )
    valid = collect(context, "valid", ["train", "valid"])
    test = collect(context, "test", ["train", "valid", "test"])
    start = time.process_time()
    after_valid = cross_rank(valid)
    trees = fit_trees(valid, np.ones(len(valid.ranks), dtype=bool))
    seconds = time.process_time() - start
    after_test = rank_anew(test, score(trees, test.features))
    rows = []
    for split, before, after in (("valid", valid, after_valid), ("test", test, after_test)):
        means = (1 / before.ranks).mean(), (1 / after).mean(), before.is_true.any(axis=1).mean()
        rows.append([split, *(f"{100 * mean:.1f}" for mean in means)])
    titles = ["split", "MRR of the decision", "re-ranked", f"answer among the first {SHOWN} (%)"]
    print("\n".join(make_table(titles, rows)))
    print(f"\nprocessor time of the trees: {seconds:.0f} s")


def collect(context: Context, split: str, filters: Sequence[str]) -> Shown:
    """Collects the first answers to the questions of a split.

    Args:
        context: Model and graph.
        split: `valid` or `test`.
        filters: Splits of the facts that are left out of the answers.
    """
    known = known_tails_in(context.graph, filters)
    facts = with_inverses(context.graph.triples[split], context.graph.num_relations)
    batches = facts.split(context.scorer.probability_batch_size(64))
    parts: list[tuple[Floats, NDArray[np.bool_], Floats]] = []
    for batch in track(batches, f"first answers, {split}, batches", len(batches)):
        queries, tails, rows = batch[:, :2], batch[:, 2], torch.arange(len(batch))
        scores = context.scorer.score_all_tails(queries)
        combined = scores.combined
        of_tails = combined[rows, tails].clone()
        combined[known.lookup(queries)] = -torch.inf
        combined[rows, tails] = of_tails
        own = of_tails[:, None]
        ranks = (combined > own).sum(dim=1) + ((combined == own).sum(dim=1) + 1) / 2
        shown = combined.topk(min(SHOWN, combined.shape[1])).indices
        features = _describe(context, queries, shown, scores).numpy()
        parts.append((features, (shown == tails[:, None]).numpy(), ranks.numpy()))
    features, is_true, all_ranks = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Shown(features, is_true, all_ranks)


def _describe(context: Context, queries: Tensor, shown: Tensor, scores: ChannelScores) -> Tensor:
    """Returns the features of answers: of the decision, of the channels, and of the graph."""
    num_relations, (count, width) = context.graph.num_relations, shown.shape
    relations = queries[:, 1]
    inverses = (relations + num_relations) % (2 * num_relations)
    decided = scores.combined.gather(1, shown)
    channels = scores.log_probs.gather(2, shown[:, None].expand(-1, scores.log_probs.shape[1], -1))
    channels = channels.transpose(1, 2)
    back = torch.stack([shown, inverses[:, None].expand_as(shown)], dim=2).view(-1, 2)
    degrees = count_train_facts(context.graph)

    def per_query(values: Tensor) -> Tensor:
        return values.float()[:, None].expand(count, width)

    features = [
        decided,
        decided - decided[:, :1],
        decided.exp().cumsum(dim=1),
        torch.arange(width).log1p().expand(count, width),
        per_query(decided[:, 0]),
        per_query((relations >= num_relations).float()),
        per_query(degrees[queries[:, 0]].log1p()),
        degrees[shown].log1p(),
        per_query(context.sizes[context.train.find(queries)].log1p()),
        context.sizes[context.train.find(back)].view(count, width).log1p(),
        per_query(_affinity(context.affinities, queries)),
        _affinity(context.affinities, back).view(count, width),
        per_query(relations.float()),
    ]
    return torch.cat([torch.stack(features, dim=2), channels, channels - channels[:, :1]], dim=2)


def _affinity(affinities: Affinities, queries: Tensor) -> Tensor:
    """Returns one for a relation that the entity has, else its affinity, (Q, 2) -> (Q,)."""
    signatures = affinities.signature_ids[queries[:, 0].numpy()]
    relations = queries[:, 1].numpy().copy()  # scipy writes flags of its indices
    found = affinities.has[signatures, relations] + affinities.affinity[signatures, relations]
    return torch.from_numpy(np.asarray(found).ravel().astype(np.float32))


def cross_rank(valid: Shown) -> Floats:
    """Ranks each third of the facts of valid by trees of the others, shape: (N,)."""
    num_facts = len(valid.ranks) // 2
    fold = np.random.default_rng(0).integers(0, FOLDS, num_facts)
    fold = np.concatenate([fold, fold])  # a fact and its inverse together
    scores = np.empty(valid.is_true.shape, dtype=np.float32)
    for number in range(FOLDS):
        trees = fit_trees(valid, fold != number)
        scores[fold == number] = score(trees, valid.features[fold == number])
    return rank_anew(valid, scores)


def fit_trees(shown: Shown, chosen: NDArray[np.bool_]) -> HistGradientBoostingClassifier:
    """Fits trees to the chosen questions with the fact's answer among the first ones."""
    chosen = chosen & shown.is_true.any(axis=1)
    trees = HistGradientBoostingClassifier(
        max_iter=TREES,
        learning_rate=LEARNING_RATE,
        max_leaf_nodes=LEAVES,
        min_samples_leaf=100,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=0,
    )
    features = shown.features[chosen]
    return trees.fit(features.reshape(-1, features.shape[2]), shown.is_true[chosen].ravel())


def score(trees: HistGradientBoostingClassifier, features: Floats) -> Floats:
    """Returns the probability of each answer, shape: (N, SHOWN, F) -> (N, SHOWN)."""
    flat = features.reshape(-1, features.shape[2])
    return np.asarray(trees.predict_proba(flat)[:, 1].reshape(features.shape[:2]), dtype=np.float32)


def rank_anew(shown: Shown, scores: Floats) -> Floats:
    """Returns ranks by new scores of the first answers, ties half, shape: (N,)."""
    ranks, is_first = shown.ranks.copy(), shown.is_true.any(axis=1)
    own = scores[shown.is_true][:, None]
    of_first = scores[is_first]
    ranks[is_first] = (of_first > own).sum(axis=1) + ((of_first == own).sum(axis=1) + 1) / 2
    return ranks


if __name__ == "__main__":
    run_stage(main)
