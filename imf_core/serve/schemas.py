"""Requests and answers of the API, as pydantic models; the OpenAPI document is made of them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_ANSWERS = 100
"""Answers to one question."""

MAX_QUESTIONS = 100
"""Questions in one request."""

MAX_FACTS = 1_000
"""Facts in one request."""

MAX_EXPLAINED = 20
"""Facts explained in one request: each costs about four questions."""

MAX_PRECEDENTS = 10
MAX_PATHS = 10
MAX_SHOWN = 200
"""Facts, neighbours or found entities in one answer."""

LONGEST_NAME = 10_000
"""Characters of a label or name."""

LONGEST_TEXT = 100_000
"""Characters of a description or another input."""

MAX_PICTURE_BYTES = 10_000_000

Text = Annotated[str, Field(max_length=LONGEST_NAME)]
Count = Annotated[int, Field(ge=1, le=MAX_ANSWERS)]
Precedents = Annotated[int, Field(ge=0, le=MAX_PRECEDENTS)]
Paths = Annotated[int, Field(ge=1, le=MAX_PATHS)]
Shown = Annotated[int, Field(ge=1, le=MAX_SHOWN)]
Split = Literal["train", "valid", "test", "new", "accepted", "rejected"]
End = Literal["head", "tail"]


class Schema(BaseModel):
    """A JSON object; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(Schema):
    """An error: what is wrong, and what to do about it."""

    error: str
    remedy: str


class Entity(Schema):
    """An entity; `picture` is the path of its first picture on this server."""

    id: int
    label: str
    name: str
    picture: str | None
    is_new: bool = Field(
        False, description="whether the request describes it and the graph lacks it"
    )


class Relation(Schema):
    """A relation by label and name."""

    label: str
    name: str


class About(Schema):
    """The model and its graph."""

    entities: int
    relations: int
    facts: dict[str, int]
    modalities: list[str]
    channels: list[str]
    inputs: list[str] = Field(description="modalities that a new entity may have")
    sample: list[Entity] = Field(description="entities to begin with")
    curator: str | None = Field(
        description="name of the person who decides, empty if a request must have it; null without "
        "decisions"
    )


class Found(Schema):
    """Entities or relations that a search found, best first."""

    entities: list[Entity] = []
    relations: list[Relation] = []


class KnownAnswer(Schema):
    """An answer that a split of the graph gives."""

    entity: Entity
    known_in: Split


class Answer(Schema):
    """An answer to a question for head or tail."""

    entity: Entity
    probability: float = Field(description="calibrated, times `further`")
    further: float = Field(description="share of such questions with a further answer")
    used_up: Literal["none", "head", "tail", "both"]
    log_prob: float | None = Field(description="among all entities; null for minus infinity")
    known_in: Split
    shares: dict[str, float] = Field(description="share of each channel")
    precedents: list[Entity] = Field(description="entities with the same answer in train")


class Answered(Schema):
    """A question for head or tail with its answers, most probable first."""

    asked_for: End
    head: Entity | None
    relation: Relation
    tail: Entity | None
    known: list[KnownAnswer] = Field(description="answers that the graph gives, the first 20")
    known_count: int
    share_with_more: float = Field(description="share of such questions with a further answer")
    is_used_up: bool
    answers: list[Answer]


class Batch(Schema):
    """Answers to several questions, in their order."""

    results: list[Answered]


class RelationAnswer(Schema):
    """A relation between two entities."""

    relation: Relation
    probability: float
    affinity: float = Field(description="share of similar entities that have the relation")
    known_in: Split


class Related(Schema):
    """Relations between two entities, most probable first."""

    head: Entity
    tail: Entity
    known: list[RelationAnswer] = Field(description="relations of train and decided ones")
    answers: list[RelationAnswer]


class RelatedBatch(Schema):
    """Relations of several pairs, in their order."""

    results: list[Related]


class Verdict(Schema):
    """A judged fact; only `status` and the words if a name is unknown or ambiguous."""

    head: str
    relation: str
    tail: str
    status: str = Field(description="`judged`, or the reason why there is no verdict")
    head_entity: Entity | None = None
    relation_name: str | None = None
    tail_entity: Entity | None = None
    probability: float | None = None
    threshold: float | None = None
    is_true: bool | None = None
    known_in: Split | None = None
    log_prob_tail: float | None = None
    log_prob_head: float | None = None


class Verdicts(Schema):
    """Verdicts on facts, in their order."""

    results: list[Verdict]


class Step(Schema):
    """A fact of a path that leads to the next entity, from its head to its tail if `forward`."""

    relation: Relation
    forward: bool
    entity: Entity
    known_in: Split


class Path(Schema):
    """A path of facts from the asked entity to the answer."""

    start: Entity
    steps: list[Step]
    weight: float
    text: str


class Explained(Schema):
    """Paths that lead to a fact, best first; none if the model has no channel of paths."""

    head: str
    relation: str
    tail: str
    paths: list[Path]


class ExplainedBatch(Schema):
    """Paths of several facts, in their order."""

    results: list[Explained]
    has_channel: bool


class Group(Schema):
    """Facts of an entity with one relation; it is their head, or their tail if not `as_head`."""

    relation: Relation
    as_head: bool
    both_ways: bool = Field(description="whether the same facts hold with head and tail swapped")
    count: int
    others: list[KnownAnswer]


class EntityPage(Schema):
    """An entity with its facts by relation."""

    entity: Entity
    description: str
    pictures: list[str]
    facts: int
    groups: list[Group]


class Proposal(Schema):
    """A new fact of an entity, as an answer to the question that asked for it."""

    relation: Relation
    as_head: bool = Field(description="whether the entity is the head of the fact")
    answer: Answer


class Proposals(Schema):
    """New facts of an entity, most probable first."""

    entity: Entity
    proposals: list[Proposal]


class Neighbour(Schema):
    """A near entity with the cosine of the embeddings."""

    entity: Entity
    cosine: float


class Neighbours(Schema):
    """Nearest entities by channel, in the space of each."""

    entity: Entity
    channels: dict[str, list[Neighbour]]


class Edge(Schema):
    """A fact between two nodes, by their ids."""

    head: int
    tail: int
    relation: Relation
    known_in: Split


class Around(Schema):
    """An entity and some that facts join to it, with the facts among all of them."""

    nodes: list[Entity]
    edges: list[Edge]
    neighbours: int = Field(description="entities joined to it in all")


class NewEntity(Schema):
    """An entity that the graph lacks; it needs facts or an input that the model reads."""

    name: Text = ""
    description: Annotated[str, Field(max_length=LONGEST_TEXT)] = ""
    picture: Annotated[str, Field(max_length=MAX_PICTURE_BYTES * 4 // 3 + 4)] | None = Field(
        None, description="a picture's bytes as base64"
    )
    facts: Annotated[list[tuple[Text, Text, Text]], Field(max_length=MAX_FACTS)] = []
    inputs: dict[str, Annotated[str, Field(max_length=LONGEST_TEXT)]] = Field(
        {}, description="inputs of other modalities, such as numeric"
    )


class TailQuestion(Schema):
    """`(head, relation, ?)`, by labels or names."""

    head: Text
    relation: Text


class HeadQuestion(Schema):
    """`(?, relation, tail)`, by labels or names."""

    relation: Text
    tail: Text


class Pair(Schema):
    """`(head, ?, tail)`, by labels or names."""

    head: Text
    tail: Text


class Fact(Schema):
    """A fact, by labels or names."""

    head: Text
    relation: Text
    tail: Text


class AnswersRequest(Schema):
    """Options of a batch of questions."""

    k: Count = 10
    known: bool = Field(False, description="whether to include the answers of train")
    precedents: Precedents = 0
    new: NewEntity | None = None


class TailsRequest(AnswersRequest):
    """Questions for the tail."""

    questions: Annotated[list[TailQuestion], Field(min_length=1, max_length=MAX_QUESTIONS)]


class HeadsRequest(AnswersRequest):
    """Questions for the head."""

    questions: Annotated[list[HeadQuestion], Field(min_length=1, max_length=MAX_QUESTIONS)]


class RelationsRequest(Schema):
    """Questions for the relation."""

    questions: Annotated[list[Pair], Field(min_length=1, max_length=MAX_QUESTIONS)]
    k: Count = 10
    known: bool = False
    new: NewEntity | None = None


class ScoreRequest(Schema):
    """Facts to be judged."""

    facts: Annotated[list[Fact], Field(min_length=1, max_length=MAX_FACTS)]
    new: NewEntity | None = None


class PathsRequest(Schema):
    """Facts to be explained, as answers to the question for `asked_for`."""

    facts: Annotated[list[Fact], Field(min_length=1, max_length=MAX_EXPLAINED)]
    asked_for: End = "tail"
    k: Paths = 3
    new: NewEntity | None = None


class ProposalsRequest(Schema):
    """A new entity to be completed."""

    new: NewEntity
    k: Count = 10
