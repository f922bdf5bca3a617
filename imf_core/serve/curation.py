"""Decisions of people in the page: their file, the queue, and the routes under `/api`.

The routes exist only with `imf serve --curate`. The guard refuses requests of other sites, so that
no page elsewhere decides.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from fastapi import APIRouter, Depends, Query
from pydantic import Field

from imf_core.base.errors import QuestionError
from imf_core.inference.curation import Queue, decide_facts
from imf_core.inference.fact_table import ROLES
from imf_core.inference.remarks import remark_decisions
from imf_core.prepare.decisions import (
    LONGEST_NOTE,
    LONGEST_PERSON,
    Decision,
    LabelFact,
    append_decisions,
    find_latest,
    read_decisions,
)
from imf_core.serve.catalogue import Catalogue
from imf_core.serve.routes import PROBLEMS, refuse_unknown_parameters
from imf_core.serve.schemas import MAX_FACTS, MAX_SHOWN, Entity, Fact, Relation, Schema, Shown
from imf_core.serve.service import Service
from imf_core.serve.work import Worker

Word = Annotated[str, Field(pattern="^(accepted|rejected|unsure|withdrawn)$")]


class Decided(Schema):
    """The decision of a fact that counts; the other fields are null without one."""

    head: str
    relation: str
    tail: str
    head_name: str = Field(description="the label if the graph has no such entity")
    relation_name: str
    tail_name: str
    decision: str | None = None
    by: str | None = None
    at: str | None = Field(None, description="UTC")
    note: str = ""
    remark: str = Field(
        "", description="of a stored decision: what it replaces, or why it changes nothing"
    )


class DecidedFacts(Schema):
    """Decisions in the order asked for."""

    results: list[Decided]


class FactsRequest(Schema):
    """Facts, by labels or names."""

    facts: Annotated[list[Fact], Field(min_length=1, max_length=MAX_FACTS)]


class DecisionsRequest(FactsRequest):
    """A decision about facts; all are stored, or none."""

    decision: Word = Field(description="accepted, rejected, unsure, or withdrawn")
    by: Annotated[str, Field(max_length=LONGEST_PERSON)] | None = Field(
        None, description="name of the person; null for the name of the server"
    )
    note: Annotated[str, Field(max_length=LONGEST_NOTE)] = ""


class QueueRow(Schema):
    """A fact worth a look: a proposal, or a suspicious fact of train."""

    kind: str
    head: Entity
    relation: Relation
    tail: Entity
    probability: float
    threshold: float
    related: int = Field(description="other open proposals about its head and about its tail")
    score: float


class QueueRows(Schema):
    """The first facts of the queue."""

    rows: list[QueueRow]
    decided: int = Field(description="facts with a decision")


class Curator:
    """The file of decisions, and the queue.

    Args:
        path: The file.
        proposals: Output of `predict_facts`.
        model: First digits of the hash of the model's weights.
        by: Name of the person who decides; None if every request has one.
    """

    def __init__(self, path: Path, proposals: pa.Table, model: str, by: str | None) -> None:
        self.path, self.by = path, by
        self._proposals, self._model = proposals, model
        self._read: tuple[tuple[int, int] | None, dict[LabelFact, Decision]] = None, {}
        self._queue: Queue | None = None

    def prepare(self, service: Service) -> None:
        """Scores the facts of the queue, once."""
        self._queue = self._queue or Queue(service.completer, self._proposals)

    def read(self) -> dict[LabelFact, Decision]:
        """Returns the decisions that count, in order of time; others may have written the file."""
        stamp = None
        if self.path.is_file():
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
        known, latest = self._read  # several threads read
        if stamp is None or stamp != known:
            latest = find_latest(read_decisions(self.path))
            self._read = stamp, latest
        return latest

    def decide(self, service: Service, asked: DecisionsRequest) -> list[tuple[Decision, str]]:
        """Appends a decision about facts, and returns each with a remark.

        Raises:
            QuestionError: If a name is unknown or ambiguous, or nobody is named.
        """
        by = " ".join((asked.by or self.by or "").split())
        if not by:
            raise QuestionError("a decision needs the name of a person; fill in your name")
        facts = find_labels(service.catalogue, asked.facts)
        made = decide_facts(facts, asked.decision, by, asked.note, service.completer, self._model)
        earlier, written = append_decisions(self.path, made)
        remarks = remark_decisions(service.graph, earlier, written)
        return [(each, remark.text) for each, remark in zip(written, remarks, strict=True)]

    def find_first(self, service: Service, count: int) -> list[dict[str, Any]]:
        """Returns rows of the queue."""
        self.prepare(service)
        assert self._queue is not None
        rows: list[dict[str, Any]] = self._queue.find_first(self.read(), count).to_pylist()
        return rows


def find_labels(catalogue: Catalogue, facts: Sequence[Fact]) -> list[LabelFact]:
    """Returns facts by labels.

    Raises:
        QuestionError: If a name is unknown or ambiguous.
    """
    entities, relations = catalogue.graph.entity_labels, catalogue.graph.relation_labels
    return [
        (
            entities[catalogue.find_entity(each.head)],
            relations[catalogue.find_relation(each.relation)],
            entities[catalogue.find_entity(each.tail)],
        )
        for each in facts
    ]


def _describe(catalogue: Catalogue, fact: LabelFact, decision: Decision | None) -> Decided:
    graph, (head, relation, tail) = catalogue.graph, fact
    values: dict[str, Any] = dict(zip(ROLES, fact, strict=True))
    values["relation_name"] = relation
    with suppress(QuestionError):
        values["relation_name"] = graph.relation_names[catalogue.find_relation(relation)]
    for role, label in (("head", head), ("tail", tail)):
        values[f"{role}_name"] = label
        with suppress(QuestionError):
            values[f"{role}_name"] = graph.entity_names[catalogue.find_entity(label)]
    if decision is not None:
        values |= decision.model_dump(include={"decision", "by", "at", "note"})
    return Decided(**values)


def make_curation_routes(worker: Worker, curator: Curator) -> APIRouter:
    """Returns the routes of decisions and of the queue.

    Args:
        worker: Uses the model.
        curator: The file and the queue.
    """
    router = APIRouter(
        prefix="/api", responses=PROBLEMS, dependencies=[Depends(refuse_unknown_parameters)]
    )
    catalogue = worker.service.catalogue

    @router.get("/queue")
    async def show_queue(k: Shown = 20) -> QueueRows:
        """Lists the facts most worth a look, without those that have a decision."""
        rows = await worker.run(lambda service: curator.find_first(service, k))
        return QueueRows(
            rows=[
                QueueRow(
                    head=catalogue.labelled(row["head"]),
                    relation=Relation(label=row["relation"], name=row["relation_name"]),
                    tail=catalogue.labelled(row["tail"]),
                    **{
                        name: row[name]
                        for name in ("kind", "probability", "threshold", "related", "score")
                    },
                )
                for row in rows
            ],
            decided=len(curator.read()),
        )

    @router.get("/decisions")
    def list_decisions(
        limit: Annotated[int, Query(ge=1, le=MAX_SHOWN)] = 20,
    ) -> DecidedFacts:
        """Lists the decisions that count, the latest first."""
        latest = list(curator.read().items())[-limit:][::-1]
        return DecidedFacts(results=[_describe(catalogue, fact, each) for fact, each in latest])

    @router.post("/decided")
    def find_decisions(asked: FactsRequest) -> DecidedFacts:
        """Returns the decision of each fact; nothing is stored."""
        latest = curator.read()
        facts = find_labels(catalogue, asked.facts)
        return DecidedFacts(
            results=[_describe(catalogue, fact, latest.get(fact)) for fact in facts]
        )

    @router.post("/decisions")
    async def decide(asked: DecisionsRequest) -> DecidedFacts:
        """Stores a decision about facts; `withdrawn` takes an earlier one back."""
        made = await worker.run(lambda service: curator.decide(service, asked))
        return DecidedFacts(
            results=[
                _describe(catalogue, each.fact, each).model_copy(update={"remark": remark})
                for each, remark in made
            ]
        )

    return router
