"""Scores queries with a trained model; embeds all entities and relations once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from imf_core.base.device import ALONE, Processes, Shard, to_device
from imf_core.model.encoders import LARGE_GRAPH
from imf_core.model.imf import IMF
from imf_core.model.kernels import NO_ANSWER_LOGIT

MAX_SCORES = 1 << 25
"""Largest number of scores at once: 128 MiB in float32; a few copies exist at a time."""

ENTITIES_PER_BLOCK = 1 << 13
"""Entities encoded, fused and ranked at once. Each process has whole blocks, so every product is
bit-identical for any number of processes."""


@dataclass(frozen=True)
class ChannelScores:
    """Log-probabilities of every entity as the tail of each query.

    Attributes:
        log_probs: Normalised within each channel, constant where the channel does not take part,
            shape: (B, H, E), dtype: float32.
        takes_part: Whether the channel takes part in the query, shape: (B, H), dtype: bool.
        combined: The decision, normalised over the possible answers; minus infinity for entities
            that `IMF.decide` rules out, and for the query's own entity where train has no loop of
            the relation, shape: (B, E), dtype: float32.
    """

    log_probs: Tensor
    takes_part: Tensor
    combined: Tensor


class Scorer:
    """A trained model with its entities embedded.

    Args:
        model: Switched to evaluation mode; its weights must not change while this object is used.
        processes: Each encodes, holds and scores its shard of the entities. All make the same calls
            in the same order.

    Attributes:
        shard: Entities of this process.
    """

    def __init__(self, model: IMF, processes: Processes = ALONE) -> None:
        model.eval()
        self.model = model
        self.channel_names = model.channel_names
        self.device = next(model.parameters()).device
        self.shard = _shard(model.num_entities, processes)
        with torch.no_grad():
            self._entities = _embed(model, self.shard.rows)
            self._relation_tables = model.relation_tables()
        self._has_loops = model.has_loops.cpu()
        self._buffer: Tensor | None = None
        self._lengths: dict[str, Tensor] = {}

    @property
    def entities(self) -> Mapping[str, Tensor]:
        """Embeddings of this process's entities, by channel, shape: (entities held, D)."""
        return self._entities

    @property
    def relations(self) -> Mapping[str, Tensor]:
        """Embeddings of relations and their inverses, by channel, shape: (2R, D_r)."""
        return self._relation_tables

    def lengths(self, channel: str) -> Tensor:
        """Returns the Euclidean norms of `entities`, computed once, shape: (entities held,)."""
        if channel not in self._lengths:
            self._lengths[channel] = torch.linalg.vector_norm(self._entities[channel], dim=1)
        return self._lengths[channel]

    def batch_size(self, wanted: int) -> int:
        """Returns the number of queries to rank at once: `wanted`, or fewer if memory is short.

        It does not depend on the number of processes, so products stay the same.
        """
        return max(1, min(wanted, MAX_SCORES // self.model.num_entities))

    def probability_batch_size(self, wanted: int) -> int:
        """Returns the number of queries per call of `score_all_tails`, at most `wanted`."""
        return max(
            1, min(wanted, MAX_SCORES // (len(self.channel_names) * self.model.num_entities))
        )

    @torch.no_grad()
    def scores(self, queries: Tensor) -> Iterator[Tensor]:
        """Scores this process's entities as tails of each query, for ranking learned entities.

        Scores are logits: normalising them would shift all scores of a query by the same amount.
        The query's own entity ranks last where train has no loop of the relation.

        Args:
            queries: (head, relation with inverses), shape: (B, 2), dtype: long, on the CPU.

        Yields:
            Logits of each channel, zeros where it does not take part, then their weighted sum: the
            decision without tau, in the same order. Each tensor is valid until the next one, shape:
            (B, entities held), dtype: float32.

        Raises:
            LostProcessError: If another process has ended.
        """
        heads, relations = queries.unbind(dim=1)
        asked = to_device(queries, self.device)
        takes_part = self.model.takes_part(asked)
        weights = self.model.decision.weights(asked, takes_part)
        own = self._find_own_entities(queries)
        logits, combined = self._buffers(len(queries))
        contexts = self._contexts(heads, relations)
        for position, (name, context) in enumerate(contexts.items()):
            vectors = context * takes_part[:, position, None]
            for block, entities in zip(
                logits.split(ENTITIES_PER_BLOCK, dim=1),
                self._entities[name].split(ENTITIES_PER_BLOCK),
                strict=True,
            ):
                self._multiply(vectors, takes_part[:, position], entities, block)
            if position == 0:
                torch.mul(logits, weights[:, :1], out=combined)
            else:
                combined.addcmul_(logits, weights[:, position, None])
            logits[own] = NO_ANSWER_LOGIT
            yield logits
        if self.model.paths is not None:
            held = slice(self.shard.rows.start, self.shard.rows.stop)
            torch.mul(self.model.paths.logits(queries)[:, held], takes_part[:, -1:], out=logits)
            combined.addcmul_(logits, weights[:, -1:])
            logits[own] = NO_ANSWER_LOGIT
            yield logits
        combined[own] = NO_ANSWER_LOGIT
        yield combined

    @torch.no_grad()
    def score_all_tails(self, queries: Tensor) -> ChannelScores:
        """Returns log-probabilities of every entity as the tail of each query, in one process.

        Args:
            queries: (head, relation with inverses), shape: (B, 2), dtype: long, on the CPU.

        Returns:
            Scores of all channels and of the decision, on the model's device.
        """
        assert self.shard.processes.count == 1, "probabilities are normalised over all entities"
        heads, relations = queries.unbind(dim=1)
        asked = to_device(queries, self.device)
        takes_part = self.model.takes_part(asked)
        contexts = self._contexts(heads, relations)
        # One buffer, changed in place: on a large graph each copy would take as long as a product.
        shape = (len(queries), len(self.channel_names), self.model.num_entities)
        log_probs = next(iter(contexts.values())).new_empty(shape)
        for position, (name, context) in enumerate(contexts.items()):
            entities, logits = self._entities[name], log_probs[:, position]
            self._multiply(context, takes_part[:, position], entities, logits)
        if self.model.paths is not None:
            log_probs[:, -1] = self.model.paths.logits(queries)
        rows, columns = self._find_own_entities(queries)
        log_probs[rows, :, columns] = NO_ANSWER_LOGIT
        torch.log_softmax(log_probs, dim=2, out=log_probs)
        everyone = torch.arange(self.model.num_entities, device=self.device)
        decided = self.model.decide(log_probs, asked, takes_part, everyone)
        log_probs.masked_fill_(~takes_part.unsqueeze(2), 0.0)
        return ChannelScores(log_probs, takes_part, decided.log_softmax(dim=1))

    def _multiply(
        self, vectors: Tensor, takes_part: Tensor, entities: Tensor, logits: Tensor
    ) -> None:
        """Writes the logits of a channel; they count only for queries that it takes part in.

        On a large graph, the others are not multiplied where they are most of the batch. A GPU
        would wait for their number.

        Args:
            vectors: Context vectors, shape: (B, D).
            takes_part: shape: (B,), dtype: bool.
            entities: shape: (C, D).
            logits: The output, shape: (B, C).
        """
        is_large = self.device.type == "cpu" and self.model.num_entities >= LARGE_GRAPH
        if is_large and 2 * int(takes_part.sum()) < len(vectors):
            rows = takes_part.nonzero().flatten()
            logits.zero_()
            logits[rows] = vectors[rows] @ entities.T
        else:
            torch.mm(vectors, entities.T, out=logits)

    def _find_own_entities(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Finds the queries' own entities that cannot answer, without waiting for a GPU.

        Args:
            queries: (head, relation with inverses), shape: (B, 2), dtype: long, on the CPU.

        Returns:
            Row and column of each one held here, on the model's device, shapes: (K,), (K,).
        """
        heads, relations = queries.unbind(dim=1)
        rows = (~self._has_loops[relations]).nonzero().flatten()
        position, columns = self.shard.find(heads[rows])
        return to_device(rows[position], self.device), to_device(columns, self.device)

    def _buffers(self, num_queries: int) -> Tensor:
        """Returns memory for two tables of scores, reused by all batches, shape: (2, B, held)."""
        if self._buffer is None or self._buffer.shape[1] < num_queries:
            size = (2, num_queries, len(self.shard.rows))
            self._buffer = self._entities[self.channel_names[0]].new_empty(size)
        return self._buffer[:, :num_queries]

    def _contexts(self, heads: Tensor, relations: Tensor) -> dict[str, Tensor]:
        """Returns the context vectors of each channel, shape: (B,), (B,) -> (B, D)."""
        vectors = self.shard.take(list(self._entities.values()), heads)
        return {
            name: self.model.channels[name].context(each, self._relation_tables[name], relations)
            for name, each in zip(self._entities, vectors, strict=True)
        }


def _shard(num_entities: int, processes: Processes) -> Shard:
    """Returns a process's shard of the entities, in whole blocks."""
    blocks = processes.shard(-(-num_entities // ENTITIES_PER_BLOCK))
    start, stop = (
        min(each * ENTITIES_PER_BLOCK, num_entities) for each in (blocks.start, blocks.stop)
    )
    return Shard(processes, range(start, stop), num_entities)


def _embed(model: IMF, rows: range) -> dict[str, Tensor]:
    """Embeds a range of entities block by block, into one table per channel."""
    device = next(model.parameters()).device
    tables: dict[str, Tensor] = {}
    first = 0
    for ids in torch.arange(rows.start, rows.stop, device=device).split(ENTITIES_PER_BLOCK):
        for name, vectors in model.encode(ids).items():
            if name not in tables:
                tables[name] = vectors.new_empty(len(rows), vectors.shape[1])
            tables[name][first : first + len(ids)] = vectors
        first += len(ids)
    return tables
