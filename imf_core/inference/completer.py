"""Asks a trained model by labels or names.

    completer = load_completer(graph_folder, model_folder, {"text": path, "image": path})
    completer.ask(Question("Nicaragua", "member of", None))

In: a graph, its features and a model, as written by their stages. Out: answers with calibrated
probabilities and shares of the channels, precedents of an answer, and nearest entities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from imf_core.base.errors import QuestionError
from imf_core.graph.feature_table import FeatureTable, load_features
from imf_core.graph.graph import Graph, load_graph
from imf_core.graph.known_tails import known_tails_in
from imf_core.inference.answers import (
    ASKED,
    Answer,
    Answers,
    Question,
    concatenate,
    find_answers,
    find_known_answers,
)
from imf_core.inference.fact_table import FactTable, read_shares
from imf_core.inference.names import Names
from imf_core.inference.plausibility import USED_UP, FurtherAnswers
from imf_core.inference.unseen_entity import add_unseen_entity
from imf_core.model.decision import Calibration
from imf_core.model.imf import IMF
from imf_core.model.saved import SavedModel, load_calibration, load_config, load_model
from imf_core.model.scorer import Scorer


@dataclass(frozen=True)
class Neighbour:
    """An entity near another one, with the cosine of their embeddings."""

    label: str
    name: str
    cosine: float


def find_nearest(
    scorer: Scorer, graph: Graph, channel: str, entity: int, among: Tensor, count: int
) -> list[Neighbour]:
    """Finds the entities nearest to one entity, by the cosine of their embeddings.

    Args:
        scorer: The trained model.
        graph: Its graph.
        channel: Channel of the embeddings.
        entity: The entity, which has the channel's modality; it is not its own neighbour.
        among: Entities to choose from; entities without the channel's modality or without train
            facts are left out, shape: (N,), dtype: long.
        count: Neighbours, at most.

    Returns:
        Nearest first.
    """
    model, vectors = scorer.model, scorer.entities[channel]
    among = among.to(vectors.device)
    has_modality = model.channels[channel].is_present
    among = among[(among != entity) & has_modality[among] & model.is_learned[among]]
    cosines = F.cosine_similarity(vectors[among], vectors[entity].unsqueeze(0))
    best = cosines.topk(min(count, len(among)))
    return [
        Neighbour(graph.entity_labels[number], graph.entity_names[number], cosine)
        for number, cosine in zip(among[best.indices].tolist(), best.values.tolist(), strict=True)
    ]


class Completer:
    """Answers questions with a graph and a model trained on it; made by `load_completer`.

    Args:
        graph: The graph.
        tables: Features by modality (`image`, `text`), at least those of the model.
        model: The model trained on them.
        config: Configuration of the model.
        calibration: Fitted for the model.

    Attributes:
        graph: The graph.
        scorer: The model with its entities embedded.
        entities: Finds entities by label or name.
        relations: Finds relations by label or name.
    """

    def __init__(
        self,
        graph: Graph,
        tables: Mapping[str, FeatureTable],
        model: IMF,
        config: SavedModel,
        calibration: Calibration,
    ) -> None:
        self.graph = graph
        self.scorer = Scorer(model)
        self.entities = Names("entity", graph.entity_labels, graph.entity_names)
        self.relations = Names("relation", graph.relation_labels, graph.relation_names)
        self._tables, self._config, self._calibration = tables, config, calibration
        self._known = known_tails_in(graph, ["train"])
        self._further = FurtherAnswers(graph)
        self._table = FactTable(graph, model.channel_names)

    def ask(self, question: Question, count: int = 10, with_known: bool = False) -> list[Answer]:
        """Answers a question.

        Args:
            question: By labels or names.
            count: Answers, at most.
            with_known: Whether to include the answers of train. Answers of valid and test are
                always included, since the channels were not trained on them.

        Returns:
            Most probable first.

        Raises:
            QuestionError: If a name is unknown or ambiguous, if not exactly one of head and tail
                is missing, or if `count` is below one.
        """
        return [self._answer(row) for row in self.answer([question], count, with_known).to_pylist()]

    def answer(
        self, questions: Sequence[Question], count: int = 10, with_known: bool = False
    ) -> pa.Table:
        """Answers several questions at once.

        Args:
            questions: By labels or names, at least one.
            count: Answers per question, at most.
            with_known: As in `ask`.

        Returns:
            One row per answer, sorted by question, then most probable first: `question` (its
            position, int64), then the columns of `FactTable`.

        Raises:
            QuestionError: As in `ask`.
        """
        if count < 1:
            raise QuestionError(f"at least one answer must be asked for, got a count of {count}")
        queries = torch.tensor([self.find_query(question) for question in questions])
        first, parts = 0, []
        for batch in queries.split(self.scorer.probability_batch_size(len(queries))):
            found = self._find(batch, count, with_known)
            parts.append(replace(found, row=found.row + first))
            first += len(batch)
        answers = concatenate(parts)
        table = self._table.write(answers)
        return table.add_column(0, "question", pa.array(answers.row.numpy(), pa.int64()))

    def find_query(self, question: Question) -> tuple[int, int]:
        """Returns entity and relation ids of a question; a head question has the inverse relation.

        Raises:
            QuestionError: As in `ask`.
        """
        relation = self.relations.find(question.relation)
        if question.head is not None and question.tail is None:
            return self.entities.find(question.head), relation
        if question.head is None and question.tail is not None:
            return self.entities.find(question.tail), relation + self.graph.num_relations
        raise QuestionError(
            f"a question asks for the head or for the tail, exactly one of them must be '?', got "
            f"{question.head or ASKED} - {question.relation} - {question.tail or ASKED}"
        )

    def known_answers(self, question: Question, splits: Sequence[str] = ("train",)) -> list[str]:
        """Returns the names of the answers in some splits of the graph.

        Raises:
            QuestionError: As in `ask`.
        """
        query = torch.tensor([self.find_query(question)])
        _, tails = known_tails_in(self.graph, splits).lookup(query)
        return [self.graph.entity_names[tail] for tail in tails.tolist()]

    def share_with_more(self, question: Question) -> float:
        """Returns the probability of an answer beside those of all splits.

        It is one for a question without known answers; see `used_up.share_with_more`.

        Raises:
            QuestionError: As in `ask`.
        """
        return float(self._further.of_queries(torch.tensor([self.find_query(question)])))

    def is_used_up(self, question: Question) -> bool:
        """Returns whether most similar questions have no answer beyond those of the splits.

        Raises:
            QuestionError: As in `ask`.
        """
        return self.share_with_more(question) < USED_UP

    def neighbours(self, entity: str, count: int = 10) -> dict[str, list[Neighbour]]:
        """Returns the nearest entities in the space of each channel.

        Args:
            entity: Label or name.
            count: Neighbours, at most.

        Returns:
            Neighbours by channel, nearest first, among the entities with the channel's modality.
            Channels of modalities that this entity lacks are left out.

        Raises:
            QuestionError: If the name is unknown or ambiguous, or `count` is below one.
        """
        if count < 1:
            raise QuestionError(f"at least one neighbour must be asked for, got a count of {count}")
        number = self.entities.find(entity)
        everyone = torch.arange(self.graph.num_entities)
        return {
            channel: find_nearest(self.scorer, self.graph, channel, number, everyone, count)
            for channel in self.scorer.channel_names
            if self._has(channel, number)
        }

    def precedents(self, question: Question, answer: Answer, count: int = 3) -> list[Neighbour]:
        """Returns similar entities with the same answer in train.

        Args:
            question: By labels or names.
            answer: An answer to it, from `ask`.
            count: Entities, at most.

        Returns:
            Entities with the same answer in train, nearest to the question's entity first, in the
            space of the channel with the largest share in the answer. Channels of modalities that
            the entity lacks are left out.

        Raises:
            QuestionError: As in `ask`.
        """
        entity, relation = self.find_query(question)
        num_relations = self.graph.num_relations
        inverse = (relation + num_relations) % (2 * num_relations)
        _, alike = self._known.lookup(torch.tensor([[self.entities.find(answer.label), inverse]]))
        channels = [name for name in self.scorer.channel_names if self._has(name, entity)]
        if not channels:  # the entity lacks every modality of the model
            return []
        best = max(channels, key=answer.shares.__getitem__)
        return find_nearest(self.scorer, self.graph, best, entity, alike, count)

    def with_unseen_entity(self, name: str, features: Mapping[str, Tensor]) -> "Completer":
        """Returns a completer with one more entity, which has no facts.

        Its structural embedding is masked, and it is never an answer.

        Args:
            name: Name and label of the entity.
            features: Features by modality (`image`, `text`), at least one that the model reads,
                made by the graph's encoders, shape: (F,), dtype: float32.

        Raises:
            QuestionError: If the name is taken, or the model reads none of the features.
        """
        if name in self.graph.entity_labels or name in self.graph.entity_names:
            raise QuestionError(f"the graph has {name!r} already; give the new entity another name")
        graph, tables, model = add_unseen_entity(
            self.graph, self._tables, self.scorer.model, self._config, name, features
        )
        return Completer(graph, tables, model, self._config, self._calibration)

    def _find(self, queries: Tensor, count: int, with_known: bool) -> Answers:
        """Answers one batch of queries, most probable first.

        Also finds the most probable answers that are not used up: used-up answers above them may
        fall below them after the multiplication by `further`.
        """
        arguments = (self.scorer, self._calibration, queries, self._known)
        found = find_answers(*arguments, count, (None, ~self._further.used_up(queries)))
        if with_known:
            found = concatenate([find_known_answers(*arguments), found])
        found = self._further.weigh(found)
        order = np.lexsort([-found.probability.numpy(), found.row.numpy()])
        found = found.select(torch.from_numpy(order))
        sizes = found.row.bincount(minlength=len(queries))
        rank = torch.arange(len(found.row)) - (sizes.cumsum(0) - sizes)[found.row]
        return found.select((rank < count).nonzero().flatten())

    def _answer(self, row: Mapping[str, Any]) -> Answer:
        role = row["asked_for"]
        return Answer(
            label=row[role],
            name=row[f"{role}_name"],
            probability=row["probability"],
            further=row["further"],
            used_up=row["used_up"],
            known_in=row["known_in"],
            shares=read_shares(row),
        )

    def _has(self, channel: str, entity: int) -> bool:
        return bool(self.scorer.model.channels[channel].is_present[entity])


def load_completer(
    graph_folder: Path,
    model_folder: Path,
    feature_paths: Mapping[str, Path],
    device: torch.device | None = None,
) -> Completer:
    """Loads a trained model with its graph and features.

    Args:
        graph_folder: Output of `prepare`.
        model_folder: Output of `train`.
        feature_paths: Outputs of the feature stages, by modality (`image`, `text`).
        device: Device of the model; the CPU by default.

    Raises:
        DataError: If a file is missing or damaged, or the files are not of one run.
        ConfigError: If a file of the model is invalid.
    """
    graph = load_graph(graph_folder)
    tables = {name: load_features(path, graph.fingerprint) for name, path in feature_paths.items()}
    model = load_model(model_folder, graph, tables).to(device or torch.device("cpu"))
    config, calibration = load_config(model_folder), load_calibration(model_folder)
    return Completer(graph, tables, model, config, calibration)
