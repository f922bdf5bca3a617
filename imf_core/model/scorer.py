"""Scoring with a trained model: everything that does not depend on the query is done once."""

from dataclasses import dataclass

import torch
from torch import Tensor

from imf_core.model.imf import IMF, Embeddings

MAX_SCORES = 1 << 25
"""Largest number of scores made at once: 128 MiB in float32, of which a few copies live."""

ENTITIES_PER_CHUNK = 1 << 14
"""Entities encoded and fused at once."""


@dataclass(frozen=True)
class HeadScores:
    """Log-probabilities of every entity as the tail of each query.

    Attributes:
        log_probs: Normalised within each head, constant where the head cannot answer,
            shape: (B, H, E), dtype: float32.
        can_answer: Whether the head takes part in the query, shape: (B, H), dtype: bool.
        combined: Decision fusion of the heads, normalised, shape: (B, E), dtype: float32.
    """

    log_probs: Tensor
    can_answer: Tensor
    combined: Tensor


class Scorer:
    """A trained model ready to score: entities encoded, fused and projected once.

    Args:
        model: Put into evaluation mode; its weights must not change while this object is used.
    """

    def __init__(self, model: IMF) -> None:
        model.eval()
        self.model = model
        self.head_names = model.head_names
        self.device = next(model.parameters()).device
        with torch.no_grad():
            everything = torch.arange(model.num_entities, device=self.device)
            parts = [model.embed_entities(ids) for ids in everything.split(ENTITIES_PER_CHUNK)]
            self._entities = {
                name: Embeddings(
                    torch.cat([part[name].vectors for part in parts]),
                    torch.cat([part[name].is_present for part in parts]),
                )
                for name in self.head_names
            }
            self._relation_tables = model.embed_relations()

    def batch_size(self, wanted: int) -> int:
        """Returns how many queries to score at once: `wanted` or what memory allows."""
        return max(1, min(wanted, MAX_SCORES // (len(self.head_names) * self.model.num_entities)))

    @torch.no_grad()
    def score_all_tails(self, queries: Tensor) -> HeadScores:
        """Scores every entity as the tail of each query.

        Args:
            queries: (head, relation with inverses), shape: (B, 2), dtype: long.

        Returns:
            Scores of all heads and of their fusion, on the model's device.
        """
        heads, relations = queries.to(self.device).unbind(dim=1)
        can_answer = torch.stack(
            [
                self.model.can_answer(name, self._entities[name][heads], relations)
                for name in self.head_names
            ],
            dim=1,
        )
        log_probs = torch.stack([self._head(name, heads, relations) for name in self.head_names], 1)
        log_probs = torch.where(can_answer.unsqueeze(2), log_probs, 0.0)
        pooled = self.model.decision(log_probs, relations, can_answer)
        return HeadScores(log_probs, can_answer, pooled.log_softmax(dim=1))

    def _head(self, name: str, heads: Tensor, relations: Tensor) -> Tensor:
        """Returns one head's log-probabilities, shape: (B,), (B,) -> (B, E)."""
        vectors = self._entities[name].vectors
        scorer = self.model.scorer(name)
        queries = scorer(vectors[heads], self._relation_tables[name], relations)
        log_probs: Tensor = (queries @ vectors.T).log_softmax(dim=1)
        return log_probs
