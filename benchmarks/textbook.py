"""Textbook form of model and loss, the reference for the library's speed.

It uses the parameters of the library's model, so both compute the same: one matrix per row of the
batch, a dense label for every (query, entity), the cross entropy of sigmoids, one fusion term after
the other; in evaluation, it embeds all entities for every batch and sorts scores to find a rank. A
test checks that loss, gradients and ranks are equal in float64.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imf_core.model.encoders import (
    BlockDiagonalContext,
    Context,
    DenseContext,
    FeatureEncoder,
    StructuralEncoder,
)
from imf_core.model.fusion import NARROW_DIM, LowRankBilinearFusion
from imf_core.model.imf import FUSED, IMF
from imf_core.model.kernels import NO_ANSWER_LOGIT, Dropout

Known = Mapping[tuple[int, int], list[int]]
"""Known answers by query (entity, relation with inverses)."""


def loss(model: IMF, queries: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    """Returns the binary cross entropy of every (query, entity) pair, summed over the channels.

    Args:
        model: In any mode; N3 and the contrastive term are left out.
        queries: (head, relation with inverses), shape: (B, 2), dtype: long.
        labels: One for answers, else zero, shape: (B, E), dtype: float.
        label_smoothing: As `train.label_smoothing`.

    Returns:
        Mean over the queries that a channel takes part in, summed over the channels, a scalar.
    """
    heads, relations = queries.unbind(dim=1)
    entities, tables = _embed_entities(model), _embed_relations(model)
    if label_smoothing > 0:
        labels = (1 - label_smoothing) * labels + 1 / labels.shape[1]
    total = labels.new_zeros(())
    takes_part = model.takes_part(queries)
    for name, is_part in zip(model.channels, takes_part.unbind(dim=1), strict=True):
        scores = _score(model, name, entities[name], tables[name], heads, relations)
        cross_entropy = F.binary_cross_entropy(scores.sigmoid(), labels, reduction="none")
        total = total + cross_entropy[is_part].sum(dim=1).mean()
    return total


def make_labels(answers: Sequence[Sequence[int]], num_entities: int) -> Tensor:
    """Makes a dense label for every (query, entity), shape: (B, E), from each query's answers."""
    labels = torch.zeros(len(answers), num_entities)
    for row, entities in enumerate(answers):
        labels[row, entities] = 1.0
    return labels


@torch.no_grad()
def rank(model: IMF, facts: Tensor, known: Known, batch_size: int) -> list[int]:
    """Ranks the answer of each fact by the decision, as in common evaluation loops.

    Scores a batch, masks other known answers row by row, sorts all scores, and finds the position
    of the answer. Ties are in order of the sort.

    Args:
        model: In evaluation mode.
        facts: (entity, relation with inverses, answer), shape: (N, 3), dtype: long.
        known: All known answers, including the ranked ones.
        batch_size: Facts scored at once.

    Returns:
        Filtered ranks.
    """
    ranks = []
    for batch in facts.split(batch_size):
        scores = _decide(model, batch[:, :2])
        for row, (entity, relation, answer) in enumerate(batch.tolist()):
            target = scores[row, answer].item()
            scores[row, known[entity, relation]] = -torch.inf
            scores[row, answer] = target
        order = scores.sort(dim=1, descending=True).indices.numpy()
        for line, answer in zip(order, batch[:, 2].tolist(), strict=True):
            ranks.append(int(np.where(line == answer)[0][0]) + 1)
    return ranks


def _decide(model: IMF, queries: Tensor) -> Tensor:
    """Scores every entity as the answer of each query, shape: (B, 2) -> (B, E)."""
    heads, relations = queries.unbind(dim=1)
    entities, tables = _embed_entities(model), _embed_relations(model)
    log_probs, takes_part = [], model.takes_part(queries)
    rows = (~model.has_loops[relations]).nonzero().flatten()
    for name, is_part in zip(model.channels, takes_part.unbind(dim=1), strict=True):
        scores = _score(model, name, entities[name], tables[name], heads, relations)
        scores[rows, heads[rows]] = NO_ANSWER_LOGIT
        log_probs.append(torch.where(is_part[:, None], scores.log_softmax(dim=1), 0.0))
    pooled = model.decision(torch.stack(log_probs, 1), queries, takes_part)
    pooled[rows, heads[rows]] = -torch.inf
    decided: Tensor = pooled.log_softmax(dim=1)
    return decided


def _score(
    model: IMF, name: str, entities: Tensor, table: Tensor, heads: Tensor, relations: Tensor
) -> Tensor:
    """Scores by one channel, with one matrix per row, shape: (B, E)."""
    channel = model.channels[name]
    matrices = _matrices(channel.form, table[relations])
    rows = _drop(entities[heads], channel.dropout).unsqueeze(1)
    queries = _drop(torch.bmm(rows, matrices).squeeze(1), channel.dropout)
    return queries @ entities.T


def _drop(values: Tensor, dropout: Dropout) -> Tensor:
    """Applies torch's dropout in place of the library's."""
    return F.dropout(values, dropout.p, dropout.training)


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
    own = model.modality_channels
    embeddings = {name: _encode(channel.encoder) for name, channel in own.items()}
    if model.fusion is not None:
        masks = [channel.is_present for channel in own.values()]
        embeddings[FUSED] = _fuse(model.fusion.entities, list(embeddings.values()), masks)
    return embeddings


def _encode(encoder: nn.Module) -> Tensor:
    """Encodes every entity in one modality, shape: (E, D)."""
    if isinstance(encoder, StructuralEncoder):
        return encoder.table.weight
    assert isinstance(encoder, FeatureEncoder)
    first, activation, dropout, last = encoder.perceptron
    assert isinstance(dropout, Dropout)
    inputs = _drop(encoder.features, encoder.dropout)
    encoded = encoder.linear(inputs) + last(_drop(activation(first(inputs)), dropout))
    return torch.where(encoder.is_present[:, None], encoded, encoder.absent(encoder.absent_row))


def _embed_relations(model: IMF) -> dict[str, Tensor]:
    tables: dict[str, Tensor] = {
        name: channel.relations for name, channel in model.modality_channels.items()
    }
    if model.fusion is not None:
        everywhere = torch.ones(2 * model.num_relations, dtype=torch.bool)
        given = list(tables.values())
        tables[FUSED] = _fuse(model.fusion.relations, given, [everywhere] * len(given))
    return tables


def _fuse(fusion: nn.Module, embeddings: Sequence[Tensor], masks: Sequence[Tensor]) -> Tensor:
    """Sums the terms of the full form one after the other, shape: (N, D) each -> (N, dim)."""
    assert isinstance(fusion, LowRankBilinearFusion)
    inputs = [_drop(each, fusion.dropout) for each in embeddings]
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
    lifted: Tensor = fusion.lift(sums * counts / fusion.num_narrow**0.5)
    return total + lifted


def _term(layer: nn.Module, term: int, dim: int) -> tuple[Tensor, Tensor]:
    """Returns one term's weight and bias from a layer of all terms."""
    assert isinstance(layer, nn.Linear)
    rows = slice(term * dim, (term + 1) * dim)
    return layer.weight[rows], layer.bias[rows]


def _multiply(
    layers: Sequence[tuple[Tensor, Tensor]], inputs: Sequence[Tensor], masks: Sequence[Tensor]
) -> Tensor:
    """Multiplies the factors of the present modalities."""
    product = torch.ones(())
    for (weight, bias), vectors, mask in zip(layers, inputs, masks, strict=True):
        product = product * torch.where(mask[:, None], F.linear(vectors, weight, bias), 1.0)
    return product
