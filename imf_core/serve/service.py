"""Answers the requests of the API with a trained model.

In: names of entities and relations. Out: schemas. One thread at a time may use a service.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from imf_core.base.errors import QuestionError
from imf_core.graph.known_tails import SETTLED
from imf_core.inference.answers import Question
from imf_core.inference.completer import Completer
from imf_core.inference.fact_table import ROLES, read_shares
from imf_core.inference.predict import DEFAULT_AFFINITY
from imf_core.inference.question_file import JUDGED
from imf_core.report.entities import choose_sample
from imf_core.serve.catalogue import Catalogue
from imf_core.serve.new_entity import add_new
from imf_core.serve.pictures import Pictures
from imf_core.serve.proposals import Proposer
from imf_core.serve.schemas import (
    About,
    Answer,
    Answered,
    End,
    Explained,
    ExplainedBatch,
    Fact,
    Neighbour,
    Neighbours,
    NewEntity,
    Path,
    Proposal,
    Proposals,
    Related,
    Relation,
    RelationAnswer,
    Step,
    Verdict,
    Verdicts,
)

COMPARED_FACTS = 10
"""Errors of a list that name the nearest names; each compares a name with all others."""

KNOWN_SHOWN = 20
"""Known answers listed with a question."""


class Service:
    """A trained model behind the API.

    Args:
        completer: The model.
        pictures: Pictures of its entities, None for none.
        descriptions: Texts of all entities to show; None for those of the graph.
        num_new: Entities at the end of the graph that it lacked when it was trained.
        curator: Name of the person who decides about facts, "" if the page asks for it; None if
            nothing is decided here.
        least_affinity: Of proposals; as `predict.min_relation_affinity`.

    Attributes:
        completer: The model.
        graph: Its graph.
        catalogue: Names, pictures and facts.
    """

    def __init__(
        self,
        completer: Completer,
        pictures: Pictures | None = None,
        descriptions: Sequence[str] | None = None,
        num_new: int = 0,
        curator: str | None = None,
        least_affinity: float = DEFAULT_AFFINITY,
    ) -> None:
        self._curator, self._least_affinity = curator, least_affinity
        self.completer, self.graph = completer, completer.graph
        self._pictures, self._descriptions, self._num_new = pictures, descriptions, num_new
        self.catalogue = Catalogue(
            completer.graph,
            completer.entities,
            completer.relations,
            pictures,
            descriptions,
            num_new,
        )

    @cached_property
    def proposer(self) -> Proposer:
        """Proposes facts of an entity."""
        return Proposer(self.completer, self._least_affinity)

    def prepare(self) -> None:
        """Builds all that the first requests need."""
        self.catalogue.prepare()
        _ = self.completer.thresholds, self.completer.affinities, self._sample

    @cached_property
    def _sample(self) -> list[int]:
        """Entities to begin with, those with pictures where there are some."""
        counts = np.empty(0) if self._pictures is None else self._pictures.counts
        return choose_sample(self.graph, np.flatnonzero(counts).tolist())

    def about(self) -> About:
        """Describes the model and its graph."""
        inputs = [name for name in self.completer.encoders if name in self.completer.tables]
        return About(
            entities=self.graph.num_entities,
            relations=self.graph.num_relations,
            facts={split: len(facts) for split, facts in self.graph.triples.items()},
            modalities=list(self.completer.config.model.modalities),
            channels=list(self.completer.scorer.channel_names),
            inputs=inputs,
            curator=self._curator,
            sample=list(map(self.catalogue.entity, self._sample)),
        )

    def answer(
        self, questions: Sequence[Question], k: int, with_known: bool, precedents: int
    ) -> list[Answered]:
        """Answers questions for head or tail.

        Args:
            questions: By labels or names.
            k: Answers to each, at most.
            with_known: Whether to include the answers of train.
            precedents: Similar entities with the same answer, at most.
        """
        questions = [self.by_label(question) for question in questions]
        table = self.completer.answer(questions, k, with_known)
        answers: list[list[Answer]] = [[] for _ in questions]
        for row in table.to_pylist():
            question = questions[row["question"]]
            similar = (
                self.completer.precedents(question, row, precedents)["label"].to_pylist()
                if precedents
                else []
            )
            answers[row["question"]].append(self._answer(row, similar))
        return [self._describe(each, found) for each, found in zip(questions, answers, strict=True)]

    def by_label(self, question: Question) -> Question:
        """Names entity and relation by label, which no other entity has."""
        labels = self.graph.entity_labels
        head, tail = (
            None if end is None else labels[self.catalogue.find_entity(end)]
            for end in (question.head, question.tail)
        )
        assert question.relation is not None  # `relate` answers the others
        relation = self.graph.relation_labels[self.catalogue.find_relation(question.relation)]
        return Question(head, relation, tail)

    def _answer(self, row: Mapping[str, Any], precedents: Iterable[str]) -> Answer:
        return Answer(
            entity=self.catalogue.labelled(row[row["asked_for"]]),
            probability=row["probability"],
            further=row["further"],
            used_up=row["used_up"],
            log_prob=_finite(row["log_prob"]),
            known_in=row["known_in"],
            shares=read_shares(row),
            precedents=[self.catalogue.labelled(label) for label in precedents],
        )

    def _describe(self, question: Question, answers: list[Answer]) -> Answered:
        """Returns a question with its known answers and its answers."""
        entity, relation = self.completer.find_query(question)
        known = self.catalogue.known_answers(entity, relation)
        share = self.completer.share_with_more(question)
        return Answered(
            asked_for="tail" if question.tail is None else "head",
            head=None if question.head is None else self.catalogue.entity(entity),
            relation=self.catalogue.relation(relation % self.graph.num_relations),
            tail=None if question.tail is None else self.catalogue.entity(entity),
            known=self.catalogue.with_splits(entity, relation, known[:KNOWN_SHOWN]),
            known_count=len(known),
            share_with_more=share,
            is_used_up=self.completer.is_used_up(question),
            answers=answers,
        )

    def relate(self, head: str, tail: str, k: int, with_known: bool) -> Related:
        """Answers (head, ?, tail); see `Completer.predict_relations`."""
        ends = self.catalogue.find_entity(head), self.catalogue.find_entity(tail)
        pair = self.graph.entity_labels[ends[0]], self.graph.entity_labels[ends[1]]
        every = self.completer.answer_relations([pair], self.graph.num_relations, with_known=True)
        answers = [
            RelationAnswer(
                relation=Relation(label=row["relation"], name=row["relation_name"]),
                probability=row["probability"],
                affinity=row["affinity"],
                known_in=row["known_in"],
            )
            for row in every.to_pylist()
        ]
        known = [each for each in answers if each.known_in in SETTLED]
        likely = [
            each
            for each in answers
            if each.affinity > 0 and (with_known or each.known_in not in SETTLED)
        ]
        return Related(
            head=self.catalogue.entity(ends[0]),
            tail=self.catalogue.entity(ends[1]),
            known=known,
            answers=likely[:k],
        )

    def score(self, facts: Sequence[Fact], strict: bool = False) -> Verdicts:
        """Judges facts.

        Args:
            facts: By labels or names.
            strict: Whether an unknown or ambiguous name is an error; by default it is the status of
                the fact.
        """
        verdicts: list[Verdict] = []
        judged: list[tuple[int, tuple[int, int, int]]] = []
        num_unknown = 0
        for place, fact in enumerate(facts):
            status = JUDGED
            try:
                judged.append((place, self.find_fact(fact, num_unknown < COMPARED_FACTS)))
            except QuestionError as error:
                if strict:
                    raise
                status, num_unknown = str(error), num_unknown + 1
            words = {"head": fact.head, "relation": fact.relation, "tail": fact.tail}
            verdicts.append(Verdict.model_validate({**words, "status": status}))
        rows = self._score([ids for _, ids in judged]) if judged else []
        for row, (place, ids) in zip(rows, judged, strict=True):
            verdicts[place] = self._judge(verdicts[place], row, ids)
        return Verdicts(results=verdicts)

    def find_fact(self, fact: Fact, is_compared: bool = True) -> tuple[int, int, int]:
        """Returns a fact by ids; see `Catalogue.find_entity`."""
        head, tail = (
            self.catalogue.find_entity(end, is_compared) for end in (fact.head, fact.tail)
        )
        return head, self.catalogue.find_relation(fact.relation, is_compared), tail

    def _names(self, fact: tuple[int, int, int]) -> tuple[str, str, str]:
        entities, relations = self.graph.entity_labels, self.graph.relation_labels
        return entities[fact[0]], relations[fact[1]], entities[fact[2]]

    def _score(self, facts: Sequence[tuple[int, int, int]]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.completer.score(list(map(self._names, facts))).to_pylist()
        return rows

    def _judge(self, verdict: Verdict, row: dict[str, Any], fact: tuple[int, int, int]) -> Verdict:
        return verdict.model_copy(
            update={
                "head_entity": self.catalogue.entity(fact[0]),
                "relation_name": row["relation_name"],
                "tail_entity": self.catalogue.entity(fact[2]),
                "probability": row["probability"],
                "threshold": row["threshold"],
                "is_true": row["is_true"],
                "known_in": row["known_in"],
                "log_prob_tail": _finite(row["log_prob_tail"]),
                "log_prob_head": _finite(row["log_prob_head"]),
            }
        )

    def explain(self, facts: Sequence[Fact], asked_for: End, k: int) -> ExplainedBatch:
        """Finds the paths of facts that lead to facts.

        Args:
            facts: By labels or names.
            asked_for: End of each fact that is the answer.
            k: Paths per fact, at most.
        """
        ids = list(map(self.find_fact, facts))
        columns = dict(zip(ROLES, zip(*map(self._names, ids), strict=True), strict=True))
        table = pa.table({**columns, "asked_for": [asked_for] * len(ids)})
        paths: list[list[Path]] = [[] for _ in ids]
        for row in self.completer.reasons(table, k).to_pylist():
            fact = ids[row["answer"]]
            start = fact[0] if asked_for == "tail" else fact[2]
            paths[row["answer"]].append(self._walk(start, row))
        return ExplainedBatch(
            results=[
                Explained(**dict(zip(ROLES, self._names(fact), strict=True)), paths=found)
                for fact, found in zip(ids, paths, strict=True)
            ],
            has_channel=self.completer.scorer.model.paths is not None,
        )

    def _walk(self, start: int, row: Mapping[str, Any]) -> Path:
        steps, here = [], self.graph.entity_labels[start]
        for fact in row["facts"]:
            is_forward = fact["head"] == here
            here = fact["tail"] if is_forward else fact["head"]
            steps.append(
                Step(
                    relation=Relation(label=fact["relation"], name=fact["relation_name"]),
                    forward=is_forward,
                    entity=self.catalogue.labelled(here),
                    known_in=fact["known_in"],
                )
            )
        first = self.catalogue.entity(start)
        return Path(start=first, steps=steps, weight=row["weight"], text=row["text"])

    def propose(self, entity: str, k: int) -> Proposals:
        """Proposes new facts of an entity, at most k."""
        return self._propose(self.catalogue.find_entity(entity), k)

    def propose_of_new(self, k: int) -> Proposals:
        """Proposes facts of the first new entity, at most k.

        Raises:
            QuestionError: If the facts are all of known entities.
        """
        if not self._num_new:
            raise QuestionError("the facts name no new entity; give it a name that the graph lacks")
        return self._propose(self.graph.num_entities - self._num_new, k)

    def _propose(self, number: int, k: int) -> Proposals:
        proposals = [
            Proposal(
                relation=Relation(label=row["relation"], name=row["relation_name"]),
                as_head=row["asked_for"] == "tail",
                answer=self._answer(row, ()),
            )
            for row in self.proposer.propose(number, k)
        ]
        return Proposals(entity=self.catalogue.entity(number), proposals=proposals)

    def neighbours(self, entity: str, k: int) -> Neighbours:
        """Returns the nearest entities in the space of each channel."""
        number = self.catalogue.find_entity(entity)
        found: dict[str, list[Neighbour]] = {}
        for row in self.completer.neighbours(self.graph.entity_labels[number], k).to_pylist():
            near = Neighbour(entity=self.catalogue.labelled(row["label"]), cosine=row["cosine"])
            found.setdefault(row["channel"], []).append(near)
        return Neighbours(entity=self.catalogue.entity(number), channels=found)

    def with_new(self, new: NewEntity) -> "Service":
        """Returns the service with a new entity and its facts, without training; see `add_new`."""
        grown = add_new(self.completer, self.catalogue, new)
        num_new = grown.graph.num_entities - self.graph.num_entities
        return Service(
            grown,
            self._pictures,
            self._descriptions,
            num_new,
            least_affinity=self._least_affinity,
        )


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
