"""The routes of the API, under `/api`: one question by GET, many by POST."""

from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request, Response

from imf_core.base.errors import QuestionError
from imf_core.inference.answers import Question
from imf_core.serve.access import refusal
from imf_core.serve.entity_page import describe_entity, draw_around, list_facts
from imf_core.serve.pictures import media_type
from imf_core.serve.schemas import (
    About,
    Answered,
    AnswersRequest,
    Around,
    Batch,
    Count,
    End,
    EntityPage,
    Explained,
    ExplainedBatch,
    Fact,
    Found,
    HeadsRequest,
    KnownAnswer,
    Neighbours,
    Paths,
    PathsRequest,
    Precedents,
    Problem,
    Proposals,
    ProposalsRequest,
    Related,
    RelatedBatch,
    RelationsRequest,
    ScoreRequest,
    Shown,
    TailsRequest,
    Text,
    Verdict,
    Verdicts,
)
from imf_core.serve.work import Worker

PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "a question that cannot be answered"},
    401: {"model": Problem, "description": "the token is missing or wrong"},
    403: {"model": Problem, "description": "another site sent the request"},
    404: {"model": Problem, "description": "an unknown name; the remedy has the nearest ones"},
    413: {"model": Problem, "description": "a body that is too large"},
    422: {"model": Problem, "description": "a malformed request, or a value out of bounds"},
    500: {"model": Problem, "description": "a file of the project cannot be read, or a bug"},
    503: {"model": Problem, "description": "the memory does not suffice"},
}

LARGEST_ID = 2**31 - 1
LARGEST_OFFSET = 10**9

Id = Annotated[int, Query(ge=0, le=LARGEST_ID)]


def make_routes(worker: Worker) -> APIRouter:
    """Returns the routes of questions, and of the graph.

    Args:
        worker: Uses the model.
    """
    router = APIRouter(
        prefix="/api", responses=PROBLEMS, dependencies=[Depends(refuse_unknown_parameters)]
    )
    _add_questions(router, worker)
    _add_explanations(router, worker)
    _add_graph(router, worker)
    return router


def refuse_unknown_parameters(request: Request) -> None:
    """Refuses parameters of the address that the route lacks, and repeated ones.

    Raises:
        QuestionError: If there is one.
    """
    allowed = [each.alias for each in request.scope["route"].dependant.query_params]
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in allowed:
            words = ", ".join(allowed) or "none"
            raise QuestionError(f"the address has no parameter {name!r}; its parameters: {words}")
        if given.count(name) > 1:
            raise QuestionError(f"the address has the parameter {name!r} more than once; give one")


def _add_questions(router: APIRouter, worker: Worker) -> None:
    async def answer_one(question: Question, k: int, known: bool, precedents: int) -> Answered:
        named = await to_thread.run_sync(worker.service.by_label, question)
        return await worker.run_together(
            (k, known, precedents),
            named,
            lambda service, questions: service.answer(questions, k, known, precedents),
        )

    async def answer_many(questions: list[Question], asked: AnswersRequest) -> Batch:
        found = await worker.run(
            lambda service: service.answer(questions, asked.k, asked.known, asked.precedents),
            asked.new,
        )
        return Batch(results=found)

    @router.get("/tails")
    async def ask_tails(
        head: Text,
        relation: Text,
        k: Count = 10,
        known: bool = False,
        precedents: Precedents = 0,
    ) -> Answered:
        """Answers (head, relation, ?), most probable first; `known` includes facts of train."""
        return await answer_one(Question(head, relation, None), k, known, precedents)

    @router.post("/tails")
    async def ask_many_tails(asked: TailsRequest) -> Batch:
        """Answers many questions (head, relation, ?), also about a new entity."""
        questions = [Question(each.head, each.relation, None) for each in asked.questions]
        return await answer_many(questions, asked)

    @router.get("/heads")
    async def ask_heads(
        relation: Text,
        tail: Text,
        k: Count = 10,
        known: bool = False,
        precedents: Precedents = 0,
    ) -> Answered:
        """Answers (?, relation, tail)."""
        return await answer_one(Question(None, relation, tail), k, known, precedents)

    @router.post("/heads")
    async def ask_many_heads(asked: HeadsRequest) -> Batch:
        """Answers many questions (?, relation, tail), also about a new entity."""
        questions = [Question(None, each.relation, each.tail) for each in asked.questions]
        return await answer_many(questions, asked)

    @router.get("/relations")
    async def ask_relations(head: Text, tail: Text, k: Count = 10, known: bool = False) -> Related:
        """Answers (head, ?, tail); the probabilities of one pair need not sum to one."""
        key = ("relations", head, tail, k, known)
        return await worker.run_once(key, lambda service: service.relate(head, tail, k, known))

    @router.post("/relations")
    async def ask_many_relations(asked: RelationsRequest) -> RelatedBatch:
        """Answers many questions (head, ?, tail), also about a new entity."""
        results = await worker.run(
            lambda service: [
                service.relate(each.head, each.tail, asked.k, asked.known)
                for each in asked.questions
            ],
            asked.new,
        )
        return RelatedBatch(results=results)

    @router.get("/score")
    async def score(head: Text, relation: Text, tail: Text) -> Verdict:
        """Judges a fact: true if its probability reaches the threshold of its relation."""
        fact = Fact(head=head, relation=relation, tail=tail)
        await to_thread.run_sync(worker.service.find_fact, fact)
        return await worker.run_together(
            "score", fact, lambda service, facts: service.score(facts, strict=True).results
        )

    @router.post("/score")
    async def score_many(asked: ScoreRequest) -> Verdicts:
        """Judges facts; the status of a fact with an unknown name is the error."""
        return await worker.run(lambda service: service.score(asked.facts), asked.new)


def _add_explanations(router: APIRouter, worker: Worker) -> None:
    @router.get("/paths")
    async def explain(
        head: Text, relation: Text, tail: Text, asked_for: End = "tail", k: Paths = 3
    ) -> Explained:
        """Finds paths of facts that lead to a fact; none without a channel of paths."""
        fact = Fact(head=head, relation=relation, tail=tail)
        found = await worker.run_once(
            (fact, asked_for, k), lambda service: service.explain([fact], asked_for, k)
        )
        return found.results[0]

    @router.post("/paths")
    async def explain_many(asked: PathsRequest) -> ExplainedBatch:
        """Finds the paths of several facts, also of a new entity."""
        return await worker.run(
            lambda service: service.explain(asked.facts, asked.asked_for, asked.k), asked.new
        )

    @router.get("/proposals")
    async def propose(entity: Text, k: Count = 10) -> Proposals:
        """Proposes new facts of an entity, over all plausible relations."""
        key = ("proposals", entity, k)
        return await worker.run_once(key, lambda service: service.propose(entity, k))

    @router.post("/proposals")
    async def propose_of_new(asked: ProposalsRequest) -> Proposals:
        """Proposes facts of a new entity."""
        return await worker.run(lambda service: service.propose_of_new(asked.k), asked.new)

    @router.get("/neighbours")
    async def find_neighbours(entity: Text, k: Count = 6) -> Neighbours:
        """Finds the nearest entities in the space of each channel."""
        key = ("neighbours", entity, k)
        return await worker.run_once(key, lambda service: service.neighbours(entity, k))


def _add_graph(router: APIRouter, worker: Worker) -> None:
    catalogue = worker.service.catalogue

    @router.get("/about")
    def describe() -> About:
        """Describes the model and its graph."""
        return worker.service.about()

    @router.get("/search")
    def search(
        q: Text = "", kind: Literal["entity", "relation"] = "entity", limit: Shown = 10
    ) -> Found:
        """Finds entities or relations by the first letters of their names and words."""
        return catalogue.search(q, kind, limit)

    @router.get("/entity")
    def show_entity(label: Text, limit: Shown = 10) -> EntityPage:
        """Shows an entity, by label or name, with `limit` facts of each relation."""
        return describe_entity(catalogue, catalogue.find_entity(label), limit)

    @router.get("/facts")
    def show_facts(
        entity: Text,
        relation: Text,
        as_head: bool,
        offset: Annotated[int, Query(ge=0, le=LARGEST_OFFSET)] = 0,
        limit: Shown = 50,
    ) -> list[KnownAnswer]:
        """Lists further facts of an entity with one relation."""
        ids = catalogue.find_entity(entity), catalogue.find_relation(relation)
        return list_facts(catalogue, *ids, as_head, offset, limit)

    @router.get("/around")
    def show_around(entity: Text, limit: Annotated[int, Query(ge=1, le=30)] = 12) -> Around:
        """Chooses entities around one, and the facts among them."""
        return draw_around(catalogue, catalogue.find_entity(entity), limit)

    @router.get("/picture/{entity}", response_class=Response)
    def show_picture(entity: int, position: Id = 0, graph: Text = "") -> Response:  # noqa: ARG001
        """Sends a picture of an entity by id, as PNG or JPEG; `graph` is for caches of browsers."""
        content = None if catalogue.pictures is None else catalogue.pictures.read(entity, position)
        if content is None:
            return refusal(
                404, "the entity has no such picture", "see /api/entity for its pictures"
            )
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(content, media_type=media_type(content), headers=headers)
