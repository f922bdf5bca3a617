"""Scoring with a trained model: everything that does not depend on the query is done once."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from imf_core.device import send
from imf_core.model.imf import IMF

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
                name: torch.cat([part[name] for part in parts]) for name in self.head_names
            }
            self._relation_tables = model.embed_relations()
        self._room: Tensor | None = None

    def batch_size(self, wanted: int) -> int:
        """Returns how many queries to rank at once: `wanted` or what memory allows."""
        return max(1, min(wanted, MAX_SCORES // self.model.num_entities))

    def probability_batch_size(self, wanted: int) -> int:
        """Returns how many queries to ask for probabilities: `wanted` or what memory allows."""
        return max(1, min(wanted, MAX_SCORES // (len(self.head_names) * self.model.num_entities)))

    @torch.no_grad()
    def scores(self, queries: Tensor) -> Iterator[Tensor]:
        """Scores every entity as the tail of each query, for ranking.

        The normalisation of each head's probabilities shifts all scores of a query alike, and is
        left out.

        Args:
            queries: (head, relation with inverses), shape: (B, 2), dtype: long, on the CPU.

        Yields:
            Logits of each head, zeros where it does not take part, and their weighted sum; each is
            valid until the next, shape: (B, E), dtype: float32.
        """
        heads, relations = queries.unbind(dim=1)
        can_answer = self._can_answer(send(heads, self.device), send(relations, self.device))
        weights = self.model.decision.weights(send(relations, self.device), can_answer)
        logits, combined = self._buffers(len(queries))
        for position, name in enumerate(self.head_names):
            vectors = self._queries(name, heads, relations) * can_answer[:, position, None]
            torch.mm(vectors, self._entities[name].T, out=logits)
            if position == 0:
                torch.mul(logits, weights[:, :1], out=combined)
            else:
                combined.addcmul_(logits, weights[:, position, None])
            yield logits
        yield combined

    @torch.no_grad()
    def score_all_tails(self, queries: Tensor) -> HeadScores:
        """Scores every entity as the tail of each query, as probabilities.

        Args:
            queries: (head, relation with inverses), shape: (B, 2), dtype: long, on the CPU.

        Returns:
            Scores of all heads and of their fusion, on the model's device.
        """
        heads, relations = queries.unbind(dim=1)
        can_answer = self._can_answer(send(heads, self.device), send(relations, self.device))
        log_probs = torch.stack(
            [
                (self._queries(name, heads, relations) @ self._entities[name].T).log_softmax(dim=1)
                for name in self.head_names
            ],
            dim=1,
        )
        log_probs = torch.where(can_answer.unsqueeze(2), log_probs, 0.0)
        pooled = self.model.decision(log_probs, send(relations, self.device), can_answer)
        return HeadScores(log_probs, can_answer, pooled.log_softmax(dim=1))

    def _buffers(self, num_queries: int) -> Tensor:
        """Returns room for two tables of scores, kept from batch to batch, shape: (2, B, E)."""
        if self._room is None or self._room.shape[1] < num_queries:
            size = (2, num_queries, self.model.num_entities)
            self._room = self._entities[self.head_names[0]].new_empty(size)
        return self._room[:, :num_queries]

    def _can_answer(self, heads: Tensor, relations: Tensor) -> Tensor:
        """Says which heads take part in which queries, shape: (B,), (B,) -> (B, H)."""
        masks = [self.model.can_answer(name, heads, relations) for name in self.head_names]
        return torch.stack(masks, dim=1)

    def _queries(self, name: str, heads: Tensor, relations: Tensor) -> Tensor:
        """Returns one head's context vectors, shape: (B,), (B,) -> (B, D)."""
        vectors = self._entities[name].index_select(0, send(heads, self.device))
        context: Tensor = self.model.scorer(name)(vectors, self._relation_tables[name], relations)
        return context
