"""The model and its loss as a textbook writes them: what the library's speed is held against.

It works on the parameters of the library's own model, so that both compute the same: a matrix per
row of the batch, a dense label for every (query, entity), the cross entropy of sigmoids, one term
of the fusion after the other; and in evaluation one fact after the other. A test holds that loss,
gradients and ranks are equal in float64.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imf_core.model.contexts import BlockDiagonalContext, Context, DenseContext
from imf_core.model.fusion import NARROW_DIM, LowRankBilinearFusion
from imf_core.model.imf import FUSED, IMF

Facts = set[tuple[int, int, int]]
"""(entity, relation with inverses, answer)."""


def loss(model: IMF, queries: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    """Sums over the heads the binary cross entropy of every (query, entity) pair.

    Args:
        model: In training mode or not; `N3` and the contrastive term are left out.
        queries: (head, relation with inverses), shape: (B, 2), dtype: long.
        labels: One where the entity is an answer, shape: (B, E), dtype: float.
        label_smoothing: As `train.label_smoothing`.

    Returns:
        Mean over the queries that a head takes part in, summed over the heads, a scalar.
    """
    heads, relations = queries.unbind(dim=1)
    entities, tables = _embed_entities(model), _embed_relations(model)
    if label_smoothing > 0:
        labels = (1 - label_smoothing) * labels + 1 / labels.shape[1]
    total = labels.new_zeros(())
    for name in model.head_names:
        scores = _score(model, name, entities[name], tables[name], heads, relations)
        cross_entropy = F.binary_cross_entropy(scores.sigmoid(), labels, reduction="none")
        takes_part = model.can_answer(name, heads, relations)
        total = total + cross_entropy[takes_part].sum(dim=1).mean()
    return total


@torch.no_grad()
def rank(model: IMF, facts: Tensor, known: Facts) -> list[float]:
    """Ranks the answer of each fact, one after the other, by the fused decision.

    Args:
        model: In evaluation mode.
        facts: (entity, relation with inverses, answer), shape: (N, 3), dtype: long.
        known: All known facts, inverses included.

    Returns:
        Realistic filtered ranks.
    """
    ranks = []
    for head, relation, tail in facts.tolist():
        scores = _decide(model, head, relation)
        others = [
            entity
            for entity in range(model.num_entities)
            if entity != tail and (head, relation, entity) not in known
        ]
        greater = (scores[others] > scores[tail]).sum().item()
        equal = (scores[others] == scores[tail]).sum().item()
        ranks.append(1 + greater + equal / 2)
    return ranks


def _decide(model: IMF, head: int, relation: int) -> Tensor:
    """Scores every entity as the answer of one query, shape: (E,)."""
    heads, relations = torch.tensor([head]), torch.tensor([relation])
    entities, tables = _embed_entities(model), _embed_relations(model)
    log_probs, takes_part = [], []
    for name in model.head_names:
        scores = _score(model, name, entities[name], tables[name], heads, relations)
        present = model.can_answer(name, heads, relations)
        log_probs.append(torch.where(present[:, None], scores.log_softmax(dim=1), 0.0))
        takes_part.append(present)
    pooled = model.decision(torch.stack(log_probs, 1), relations, torch.stack(takes_part, 1))
    scores: Tensor = pooled.log_softmax(dim=1)
    return scores.squeeze(0)


def _score(
    model: IMF, name: str, entities: Tensor, table: Tensor, heads: Tensor, relations: Tensor
) -> Tensor:
    """Scores by one head, through a matrix of each row's own, shape: (B, E)."""
    scorer = model.scorer(name)
    matrices = _matrices(scorer.context, table[relations])
    rows = scorer.dropout(entities[heads]).unsqueeze(1)
    queries: Tensor = scorer.dropout(torch.bmm(rows, matrices).squeeze(1))
    return queries @ entities.T


def _matrices(context: Context, relations: Tensor) -> Tensor:
    """Returns the matrix `C(r)` of every row, shape: (B, D_r) -> (B, D, D)."""
    if isinstance(context, DenseContext):
        return (relations @ context.core).view(-1, context.dim, context.dim)
    assert isinstance(context, BlockDiagonalContext)
    real, imaginary = (torch.diag_embed(part) for part in relations.chunk(2, dim=1))
    upper = torch.cat([real, imaginary], dim=2)
    lower = torch.cat([-imaginary, real], dim=2)
    return torch.cat([upper, lower], dim=1)


def _embed_entities(model: IMF) -> dict[str, Tensor]:
    everything = torch.arange(model.num_entities)
    embeddings: dict[str, Tensor] = {
        name: encoder(everything) for name, encoder in model.encoders.items()
    }
    if FUSED in model.head_names:
        masks = [model.is_present(name) for name in model.encoders]
        embeddings[FUSED] = _fuse(model.entity_fusion, list(embeddings.values()), masks)
    return embeddings


def _embed_relations(model: IMF) -> dict[str, Tensor]:
    tables = {name: model.relation_tables[name] for name in model.encoders}
    if FUSED in model.head_names:
        everywhere = torch.ones(2 * model.num_relations, dtype=torch.bool)
        given = list(tables.values())
        tables[FUSED] = _fuse(model.relation_fusion, given, [everywhere] * len(given))
    return tables


def _fuse(
    fusion: LowRankBilinearFusion, embeddings: Sequence[Tensor], masks: Sequence[Tensor]
) -> Tensor:
    """Sums the fusion's terms one after the other, shape: (N, D) each -> (N, dim)."""
    inputs = [fusion.dropout(each) for each in embeddings]
    total = torch.zeros(len(inputs[0]), fusion.dim, dtype=inputs[0].dtype)
    for term in range(fusion.num_led):
        layers = [_term(projection, term, fusion.dim) for projection in fusion.projections]
        product = _multiply(layers, inputs, masks) * masks[term][:, None]
        total = total + product / fusion.num_led**0.5
    if not fusion.num_narrow:
        return total
    reduced = [layer(each) for layer, each in zip(fusion.reductions, inputs, strict=True)]
    sums = torch.zeros(len(inputs[0]), NARROW_DIM, dtype=inputs[0].dtype)
    for term in range(fusion.num_narrow):
        layers = [_term(core, term, NARROW_DIM) for core in fusion.cores]
        sums = sums + _multiply(layers, reduced, masks)
    counts = fusion.has_leader(masks)[:, None]
    return total + fusion.lift(sums * counts / fusion.num_narrow**0.5)


def _term(layer: nn.Module, term: int, dim: int) -> tuple[Tensor, Tensor]:
    """Takes one term's weight and bias out of a layer that holds all terms."""
    assert isinstance(layer, nn.Linear)
    rows = slice(term * dim, (term + 1) * dim)
    return layer.weight[rows], layer.bias[rows]


def _multiply(
    layers: Sequence[tuple[Tensor, Tensor]], inputs: Sequence[Tensor], masks: Sequence[Tensor]
) -> Tensor:
    """Multiplies the factors of the modalities that are present."""
    product = torch.ones(())
    for (weight, bias), vectors, mask in zip(layers, inputs, masks, strict=True):
        product = product * torch.where(mask[:, None], F.linear(vectors, weight, bias), 1.0)
    return product
