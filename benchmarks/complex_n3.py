"""Plain ComplEx-N3, written from its description by Lacroix et al. (ICML 2018, arXiv 1806.07297).

A softmax over all entities, inverse relations, Adagrad and the weighted nuclear 3-norm. It uses
only the library's graph and ranking: the baseline that needs no further work.
"""

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.plain_scorer import mrr, rank
from imf_core.data.graph import Graph
from imf_core.data.known_tails import with_inverses

RANK, BATCH_SIZE, LEARNING_RATE, EPOCHS, VALIDATE_EVERY = 256, 200, 0.1, 100, 2


class ComplEx(nn.Module):
    """Re<e_h, w_r, conj(e_t)>; each row of a table has K real, then K imaginary parts."""

    def __init__(self, num_entities: int, num_relations: int, rank: int = RANK) -> None:
        super().__init__()
        self.entities = nn.Parameter(1e-3 * torch.randn(num_entities, 2 * rank))
        self.relations = nn.Parameter(1e-3 * torch.randn(2 * num_relations, 2 * rank))

    def forward(self, queries: Tensor) -> Tensor:
        """Scores every entity as the tail of each query, shape: (B, 2) -> (B, E)."""
        real, imaginary = self.entities[queries[:, 0]].chunk(2, dim=1)
        real_r, imaginary_r = self.relations[queries[:, 1]].chunk(2, dim=1)
        products = real * real_r - imaginary * imaginary_r, real * imaginary_r + imaginary * real_r
        return torch.cat(products, dim=1) @ self.entities.T

    def loss(self, facts: Tensor, n3: float) -> Tensor:
        """Returns the mean cross entropy of the tails and the N3 penalty, shape: (B, 3) -> ()."""
        factors = (
            self.entities[facts[:, 0]],
            self.relations[facts[:, 1]],
            self.entities[facts[:, 2]],
        )
        penalty = sum((_moduli(factor) ** 3).sum() for factor in factors) / len(facts)
        return F.cross_entropy(self(facts[:, :2]), facts[:, 2]) + n3 * penalty


@dataclass(frozen=True)
class Trained:
    """A model with the weights of its best epoch on valid."""

    model: nn.Module
    valid_mrr: float
    epoch: int


def train_complex_n3(graph: Graph, n3: float, seed: int) -> Trained:
    """Trains on train and keeps the best epoch on valid."""
    torch.manual_seed(seed)
    model = ComplEx(graph.num_entities, graph.num_relations)
    optimizer = torch.optim.Adagrad(model.parameters(), lr=LEARNING_RATE)
    facts = with_inverses(graph.triples["train"], graph.num_relations)
    best = Trained(model, -1.0, 0)
    for epoch in range(1, EPOCHS + 1):
        for batch in facts[torch.randperm(len(facts))].split(BATCH_SIZE):
            optimizer.zero_grad()
            model.loss(batch, n3).backward()
            optimizer.step()
        if epoch % VALIDATE_EVERY == 0:
            valid_mrr = mrr(rank(model, graph, "valid"))
            if valid_mrr > best.valid_mrr:
                best = Trained(copy.deepcopy(model), valid_mrr, epoch)
    return best


def _moduli(factor: Tensor) -> Tensor:
    real, imaginary = factor.chunk(2, dim=1)
    return (real.square() + imaginary.square()).sqrt()
