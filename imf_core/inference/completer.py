"""Asks a trained model by labels or names; `docs/python.md` shows every method.

    model = imf_core.load("FOLDER")
    model.predict_tails("Nicaragua", "member of", k=3).to_pandas()

In: a graph, its features and a model, as written by their stages or packed in one folder. Out:
Arrow tables of answers, scored facts, embeddings and nearest entities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from imf_core.base.errors import QuestionError
from imf_core.base.modality import UnseenEncoder
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import SETTLED, known_tails_in
from imf_core.inference.answers import (
    Answers,
    Question,
    concatenate,
    find_answers,
    find_known_answers,
)
from imf_core.inference.fact_scores import FactScorer, Thresholds, fit_thresholds
from imf_core.inference.fact_table import FactTable, read_shares
from imf_core.inference.names import (
    Names,
    find_facts,
    find_pairs,
    find_query,
    require_positive,
    require_triples,
)
from imf_core.inference.neighbours import find_nearest, find_precedents, join
from imf_core.inference.plausibility import USED_UP, Affinities, FurtherAnswers, estimate_affinities
from imf_core.inference.reasons import REASONS, explain_table, find_answered
from imf_core.inference.relation_answers import rank_relations
from imf_core.inference.unseen_entity import (
    LabelFacts,
    UnseenEntity,
    add_unseen_entities,
    embed,
    encode_features,
    find_new_entities,
    pair_inputs,
    require_new_names,
)
from imf_core.model.decision import Calibration
from imf_core.model.imf import IMF
from imf_core.model.saved import SavedModel
from imf_core.model.scorer import Scorer

Tables = Mapping[str, FeatureTable]


class Completer:
    """A trained model with its graph; made by `imf_core.load`.

    Every method that answers returns a `pyarrow.Table`. Entities and relations are named by label
    or name; a name that is unknown or ambiguous, or a `k` below one, is a `QuestionError`.

    Args:
        graph: The graph.
        tables: Features by modality (`image`, `text`), at least those of the model.
        model: The model trained on them.
        config: Configuration of the model.
        calibration: Fitted for the model.
        encoders: Encoders of unseen entities by modality.
        thresholds: Thresholds of `score`; None to fit them when they are needed.

    Attributes:
        scorer: The model with its entities embedded.
        fact_scorer: Scores facts by ids.
        entities: Finds entities by label or name, as `relations` finds relations.
        settled: Facts that are no new answers: those of train and decided ones.
        further: Probabilities of a further answer.
    """

    def __init__(
        self,
        graph: Graph,
        tables: Tables,
        model: IMF,
        config: SavedModel,
        calibration: Calibration,
        encoders: Mapping[str, UnseenEncoder] | None = None,
        thresholds: Thresholds | None = None,
    ) -> None:
        self.graph = graph
        self.scorer = Scorer(model)
        self.entities = Names("entity", graph.entity_labels, graph.entity_names)
        self.relations = Names("relation", graph.relation_labels, graph.relation_names)
        self.tables, self.config, self.calibration = tables, config, calibration
        self.encoders = dict(encoders or {})
        self._given_thresholds = thresholds
        self._known = known_tails_in(graph, ["train"])
        self.settled = known_tails_in(graph, SETTLED)
        self.further = FurtherAnswers(graph)
        self._table = FactTable(graph, model.channel_names)
        self.fact_scorer = FactScorer(self.scorer, calibration, self._known, self.further)

    @cached_property
    def thresholds(self) -> Thresholds:
        """Thresholds of `score`, fitted on valid."""
        return self._given_thresholds or fit_thresholds(self.fact_scorer, self.graph)

    def predict_tails(
        self, head: str, relation: str, k: int = 10, with_known: bool = False
    ) -> pa.Table:
        """Answers (head, relation, ?); see `answer` for many questions at once.

        Args:
            head: Label or name.
            relation: Label or name.
            k: Answers, at most.
            with_known: Whether to include answers of train and decided ones.

        Returns:
            At most k rows, most probable first, with the columns of `FactTable.write`.
        """
        return self.answer([Question(head, relation, None)], k, with_known).drop("question")

    def predict_heads(
        self, relation: str, tail: str, k: int = 10, with_known: bool = False
    ) -> pa.Table:
        """Answers (?, relation, tail); arguments and rows as in `predict_tails`."""
        return self.answer([Question(None, relation, tail)], k, with_known).drop("question")

    def predict_relations(
        self, head: str, tail: str, k: int = 10, with_known: bool = False
    ) -> pa.Table:
        """Answers (head, ?, tail); see `answer_relations` for many pairs at once.

        Args:
            head: Label or name.
            tail: Label or name.
            k: Relations, at most.
            with_known: Whether to include relations of train and decided ones.
        """
        return self.answer_relations([(head, tail)], k, with_known).drop("question")

    def answer_relations(
        self, pairs: Sequence[tuple[str, str]], k: int = 10, with_known: bool = False
    ) -> pa.Table:
        """Answers (head, ?, tail) for several pairs at once.

        Each probability is that of its own fact times the affinity; see `relation_answers`.

        Args:
            pairs: (head, tail) by labels or names, at least one.
            k: Relations per pair, at most.
            with_known: Whether to include relations of train and decided ones.

        Returns:
            One row per relation, sorted by pair, then most probable first: `question` (position of
            the pair, int64), labels and names, `probability`, `affinity`, `log_prob_tail`,
            `log_prob_head` (as in `score`), `known_in`, `asked_for` (`relation`).
        """
        require_positive(k, "relation")
        ids = torch.tensor(find_pairs(pairs, self.entities))
        known = None if with_known else self.settled
        found = rank_relations(self.fact_scorer, self.affinities, ids, known, k)
        values = {"probability": found.scores.probability, "affinity": found.affinity}
        columns = {name: value.numpy() for name, value in values.items()}
        table = self._table.write_scores(found.facts, found.scores, columns)
        asked = pa.array(["relation"] * len(table), pa.string())
        question = pa.array(found.row.numpy(), pa.int64())
        return table.append_column("asked_for", asked).add_column(0, "question", question)

    def answer(
        self, questions: Sequence[Question], k: int = 10, with_known: bool = False
    ) -> pa.Table:
        """Answers several questions at once.

        Args:
            questions: By labels or names, at least one.
            k: Answers per question, at most.
            with_known: As in `predict_tails`.

        Returns:
            One row per answer, sorted by question, then most probable first: `question` (its
            position, int64), then the columns of `FactTable.write`.

        Raises:
            QuestionError: If not exactly one of head and tail is missing.
        """
        require_positive(k, "answer")
        if not questions or not all(isinstance(each, Question) for each in questions):
            raise QuestionError(
                f"at least one question must be given, each a Question, got {questions!r:.60}"
            )
        queries = torch.tensor([self.find_query(question) for question in questions])
        first, parts = 0, []
        for batch in queries.split(self.scorer.probability_batch_size(len(queries))):
            found = self._find(batch, k, with_known)
            parts.append(replace(found, row=found.row + first))
            first += len(batch)
        answers = concatenate(parts)
        table = self._table.write(answers)
        return table.add_column(0, "question", pa.array(answers.row.numpy(), pa.int64()))

    def score(self, triples: Sequence[tuple[str, str, str]]) -> pa.Table:
        """Scores facts and judges whether they are true (triple classification).

        Only train counts as known, so that facts of valid and test are judged without their help;
        `imf_core.inference.fact_scores` has the definitions.

        Args:
            triples: (head, relation, tail) by labels or names, N of them, at least one.

        Returns:
            N rows in the order given: labels and names, `probability` (calibrated, float64),
            `threshold` (of the relation, float64), `is_true` (whether the probability reaches it),
            `log_prob_tail`: log p(tail | head, relation), `log_prob_head`: log p(head | relation,
            tail) (float64, among all entities; minus infinity for an unseen entity), `known_in`.

        Raises:
            QuestionError: If there is no triple.
        """
        require_triples(triples, "triples")
        if not len(triples):
            raise QuestionError("at least one triple must be given to be scored, got none")
        facts = torch.tensor(find_facts(triples, self.entities, self.relations))
        scores = self.fact_scorer.score(facts)
        labels = [self.graph.relation_labels[relation] for relation in facts[:, 1].tolist()]
        threshold = self.thresholds.of_relations(labels)
        probability = scores.probability.numpy()
        columns = {
            "probability": probability,
            "threshold": threshold,
            "is_true": probability >= threshold,
        }
        return self._table.write_scores(facts, scores, columns)

    def neighbours(self, entity: str, k: int = 10) -> pa.Table:
        """Returns the nearest entities in the space of each channel.

        Args:
            entity: Label or name.
            k: Neighbours per channel, at most.

        Returns:
            At most k rows per channel, nearest first, among the entities with the channel's
            modality: `channel`, `label`, `name`, `cosine` (float64). Channels of modalities that
            this entity lacks have none.
        """
        require_positive(k, "neighbour")
        number = self.entities.find(entity)
        return join(
            find_nearest(self.scorer, self.graph, channel, number, None, k)
            for channel in self._channels_of(number)
        )

    def precedents(self, question: Question, answer: Mapping[str, Any], k: int = 3) -> pa.Table:
        """Returns similar entities with the same answer in train.

        Args:
            question: By labels or names.
            answer: A row of `answer` to it.
            k: Entities, at most.

        Returns:
            At most k rows with the columns of `neighbours`, nearest to the question's entity first,
            in the space of that of its channels with the largest share in the answer.
        """
        query = self.find_query(question)
        tail = self.entities.find(answer[answer["asked_for"]])
        channels, shares = self._channels_of(query[0]), read_shares(answer)
        if not channels:  # the entity lacks every modality of the model
            return join([])
        best = max(channels, key=shares.__getitem__)
        return find_precedents(self.scorer, self.graph, self._known, best, (*query, tail), k)

    def reasons(self, answers: pa.Table, k: int = 3) -> pa.Table:
        """Explains answers by paths of train facts between the two entities.

        Args:
            answers: Rows of a table of answers.
            k: Paths per answer, at most.

        Returns:
            A row per path, with the columns of `reasons.explain_table`; none if the model has no
            channel of paths.
        """
        asked = find_answered(answers, self.entities, self.relations)
        paths = self.scorer.model.paths
        if paths is None:
            return REASONS.empty_table()
        return explain_table(paths.network, paths.graph, self.graph, asked, k)

    def find_query(self, question: Question) -> tuple[int, int]:
        """Returns ids of entity and relation; a head question has the inverse relation."""
        return find_query(question, self.entities, self.relations)

    def known_answers(self, question: Question, splits: Sequence[str] = ("train",)) -> list[str]:
        """Returns the names of the answers in some splits; `rejected` is one for this."""
        query = torch.tensor([self.find_query(question)])
        _, tails = known_tails_in(self.graph, splits).lookup(query)
        return [self.graph.entity_names[tail] for tail in tails.tolist()]

    def share_with_more(self, question: Question) -> float:
        """Returns the probability of an answer beside those of all splits.

        It is one for a question without known answers; see `plausibility.share_with_more`.
        """
        return float(self.further.of_queries(torch.tensor([self.find_query(question)])))

    def is_used_up(self, question: Question) -> bool:
        """Returns whether most such questions have no answer beyond those of the splits."""
        return self.share_with_more(question) < USED_UP

    def encode(
        self,
        text: str | Sequence[str] | None = None,
        image: Path | str | Sequence[Path | str] | None = None,
    ) -> pa.Table:
        """Embeds texts, pictures or pairs of both in the spaces of the channels.

        Args:
            text: A text, or N texts.
            image: A file, or N files; with `text`, those of the same entities.

        Returns:
            N rows with a column for each channel but the structural one (`visual`, `textual`,
            `fused`): an embedding (float32 list of length D), null where the channel lacks its
            modality. Those of the graph's entities are `scorer.entities[channel]`.

        Raises:
            QuestionError: If neither is given, the numbers differ, or as in `with_unseen_entities`.
        """
        entities = pair_inputs(text, image)
        _, _, model = self._add(entities)
        return embed(model, range(self.graph.num_entities, model.num_entities))

    def with_unseen_entities(
        self, entities: Sequence[UnseenEntity] = (), facts: LabelFacts = ()
    ) -> "Completer":
        """Returns a completer with more entities and facts, without training.

        Args:
            entities: Each has facts, or an input that the model reads; without facts, no answer.
            facts: Ends that the graph lacks become unseen entities.

        Raises:
            QuestionError: If a name is taken, unknown or ambiguous, an entity has neither facts nor
                input, an input cannot be encoded, or nothing is given.
        """
        if not (entities or facts):
            raise QuestionError("give unseen entities, facts or both, got neither")
        entities = find_new_entities(self.entities, facts, entities)
        require_new_names(self.graph, entities)
        graph, tables, model = self._add(entities, facts)
        fitted = self.config, self.calibration, self.encoders, self._given_thresholds
        return Completer(graph, tables, model, *fitted)

    def _add(
        self, entities: Sequence[UnseenEntity], facts: LabelFacts = ()
    ) -> tuple[Graph, Tables, IMF]:
        ends = frozenset(end for head, _, tail in facts for end in (head, tail))
        features = encode_features(entities, self.encoders, self.tables, self.config, ends)
        names = [entity.label for entity in entities]
        before = self.graph, self.tables, self.scorer.model, self.config
        return add_unseen_entities(*before, names, features, facts)

    def _find(self, queries: Tensor, count: int, with_known: bool) -> Answers:
        """Answers one batch of queries, most probable first.

        Also finds answers that are not used up: they may rise above used-up ones by `further`.
        """
        given = self.scorer, self.calibration, queries, self.settled
        found = find_answers(*given, count, (None, ~self.further.used_up(queries)))
        if with_known:
            found = concatenate([find_known_answers(*given), found])
        found = self.further.weigh(found)
        order = np.lexsort([-found.probability.numpy(), found.row.numpy()])
        found = found.select(torch.from_numpy(order))
        sizes = found.row.bincount(minlength=len(queries))
        rank = torch.arange(len(found.row)) - (sizes.cumsum(0) - sizes)[found.row]
        return found.select((rank < count).nonzero().flatten())

    def _channels_of(self, entity: int) -> list[str]:
        """Returns the channels of the modalities that an entity has."""
        channels = self.scorer.model.channels
        return [name for name, each in channels.items() if bool(each.is_present[entity])]

    @cached_property
    def affinities(self) -> Affinities:
        """Affinities of the entities to relations, estimated once."""
        return estimate_affinities(self._known, self.graph.num_relations)
