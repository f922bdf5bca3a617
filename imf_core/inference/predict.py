"""Predicts facts that train does not hold, and says which modality spoke for each."""

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from tqdm import tqdm

from imf_core.config import PredictParams
from imf_core.data.graph import Graph
from imf_core.data.known_tails import KnownTails, known_tails_in
from imf_core.inference.candidates import plausible_queries
from imf_core.model.scorer import HeadScores, Scorer

NEW = "new"
BATCH = 512


def predict_facts(scorer: Scorer, graph: Graph, params: PredictParams) -> pa.Table:
    """Finds the most probable facts that are not in train.

    Every plausible query is asked in both directions; a fact found twice keeps its better score.
    Facts of valid and test, which the heads have not learned from, are marked, so that one can see
    how many of the answers are confirmed; the others are new. No entity is an answer to a query
    about itself.

    Args:
        scorer: The trained model.
        graph: Its graph.
        params: Section `predict` of the parameters.

    Returns:
        `params.top_k` rows or fewer, most probable first: labels and names of head, relation and
        tail, `probability` (of the answer among all entities, float64), `known_in` (`valid`,
        `test` or `new`), `asked_for` (`head` or `tail`), and per head of the model `share_<head>`
        (see `share_support`) and `log_prob_<head>`; a head that could not answer has share zero and
        a null log-probability.
    """
    train = known_tails_in(graph, ["train"])
    queries = plausible_queries(
        train, graph.num_relations, params.min_relation_affinity, params.max_queries
    )
    parts = []
    for batch in tqdm(
        queries.split(scorer.probability_batch_size(BATCH)),
        desc="predict",
        disable=None,
        leave=False,
    ):
        parts.append(_best_answers(scorer, batch, train, params.answers_per_query))
    found = {key: torch.cat([part[key] for part in parts]).numpy() for key in parts[0]}
    order = np.argsort(-found["log_prob"], kind="stable")
    facts = _as_facts(found["query"], found["tail"], graph.num_relations)
    _, first = np.unique(facts[order], axis=0, return_index=True)
    chosen = order[np.sort(first)][: params.top_k]
    return _to_table(graph, scorer, facts[chosen], {k: v[chosen] for k, v in found.items()})


def _best_answers(
    scorer: Scorer, queries: Tensor, known: KnownTails, count: int
) -> dict[str, Tensor]:
    """Returns the best unknown answers of each query, flattened, on the CPU."""
    scores = scorer.score_all_tails(queries)
    rows, tails = (each.to(scorer.device) for each in known.lookup(queries))
    allowed = scores.combined.clone()
    allowed[rows, tails] = -torch.inf
    allowed.scatter_(1, queries[:, :1].to(scorer.device), -torch.inf)  # no fact about itself
    best = allowed.topk(min(count, allowed.shape[1]), dim=1)
    row = torch.arange(len(queries), device=scorer.device).repeat_interleave(best.indices.shape[1])
    tail = best.indices.flatten()
    keep = torch.isfinite(best.values.flatten())
    row, tail = row[keep], tail[keep]
    answer = {
        "query": queries.to(scorer.device)[row],
        "tail": tail,
        "log_prob": scores.combined[row, tail],
        "head_log_probs": scores.log_probs[row, :, tail],
        "can_answer": scores.can_answer[row],
        "share": share_support(scorer, scores, queries, row, tail),
    }
    return {key: value.cpu() for key, value in answer.items()}


def share_support(
    scorer: Scorer, scores: HeadScores, queries: Tensor, row: Tensor, tail: Tensor
) -> Tensor:
    """Splits each answer's support among the heads.

    A head supports an answer by its weight times how far it puts the answer above chance,
    `w_k (log p_k(t) - log 1/E)`, where that is positive; shares are these supports divided by
    their sum.

    Args:
        scorer: The model that scored.
        scores: Of the queries.
        queries: (head, relation with inverses), shape: (B, 2), dtype: long.
        row: Query of each answer, shape: (P,), dtype: long.
        tail: The answers, shape: (P,), dtype: long.

    Returns:
        Non-negative, rows sum to one (to zero where no head supports the answer), shape: (P, H).
    """
    weights = scorer.model.decision.weights(queries.to(scorer.device), scores.can_answer).detach()
    chance = -torch.log(torch.tensor(float(scores.combined.shape[1])))
    support = (weights[row] * (scores.log_probs[row, :, tail] - chance)).clamp_min(0.0)
    return support / support.sum(dim=1, keepdim=True).clamp_min(torch.finfo(support.dtype).tiny)


def _as_facts(queries: np.ndarray, tails: np.ndarray, num_relations: int) -> np.ndarray:
    """Turns answered queries into facts (head, relation, tail), shape: (P, 3)."""
    is_inverse = queries[:, 1] >= num_relations
    head = np.where(is_inverse, tails, queries[:, 0])
    tail = np.where(is_inverse, queries[:, 0], tails)
    return np.stack([head, queries[:, 1] % num_relations, tail], axis=1)


def _to_table(
    graph: Graph, scorer: Scorer, facts: np.ndarray, found: dict[str, np.ndarray]
) -> pa.Table:
    """Words the facts and adds what the heads said."""
    held_out = {
        tuple(fact): split for split in ("valid", "test") for fact in graph.triples[split].tolist()
    }
    columns: dict[str, object] = {}
    for position, role, labels, names in (
        (0, "head", graph.entity_labels, graph.entity_names),
        (1, "relation", graph.relation_labels, graph.relation_names),
        (2, "tail", graph.entity_labels, graph.entity_names),
    ):
        columns[role] = pa.array([labels[i] for i in facts[:, position]], pa.string())
        columns[f"{role}_name"] = pa.array([names[i] for i in facts[:, position]], pa.string())
    columns["probability"] = np.exp(found["log_prob"].astype(np.float64))
    columns["known_in"] = pa.array([held_out.get(tuple(f), NEW) for f in facts.tolist()])
    asked = found["query"][:, 1] >= graph.num_relations
    columns["asked_for"] = pa.array(["head" if is_head else "tail" for is_head in asked])
    for position, name in enumerate(scorer.head_names):
        log_probs = found["head_log_probs"][:, position].astype(np.float64)
        columns[f"share_{name}"] = found["share"][:, position].astype(np.float64)
        columns[f"log_prob_{name}"] = pa.array(log_probs, mask=~found["can_answer"][:, position])
    return pa.table(columns)
