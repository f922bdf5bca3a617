"""The one thread that uses the model, the recent answers, and the recent new entities.

Requests wait for the model in their order; searches, pictures and lists of facts do not. Questions
of one kind that wait are answered together: on a large graph, reading the embeddings takes most of
the time, and one product reads them for all.
"""

import hashlib
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from anyio import CapacityLimiter, to_thread
from pydantic_core import to_json

from imf_core.base.device import fitting_threads
from imf_core.serve.schemas import NewEntity
from imf_core.serve.service import Service

KEPT_BYTES = 4_000_000
"""JSON of the answers kept; in memory they take about ten times as much."""

KEPT_ENTITIES = 4
"""New entities kept: each has its own copy of the model; one for models of `LARGE` and more."""

TOGETHER = 32
"""Questions answered together, at most."""

LARGE = 1 << 26
"""Numbers in the structural embeddings."""

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


class Recent(OrderedDict[K, T]):
    """The values of the most recent keys.

    Args:
        most: Total size of the values, at most; a larger value is not kept.
        measure: Returns the size of a value; by default, one.
    """

    def __init__(self, most: int, measure: Callable[[T], int] = lambda _: 1) -> None:
        super().__init__()
        self._most, self._measure = most, measure
        self._sizes: dict[K, int] = {}

    def get_or_make(self, key: K, make: Callable[[], T]) -> T:
        """Returns the value of a key, made if it is not there."""
        if key in self:
            self.move_to_end(key)
            return self[key]
        value = make()
        self.keep(key, value)
        return value

    def keep(self, key: K, value: T) -> None:
        """Keeps a value in place of the oldest ones, unless it is too large alone."""
        size = self._measure(value)
        if size > self._most:
            return
        self[key], self._sizes[key] = value, size
        while sum(self._sizes.values()) > self._most:
            oldest, _ = self.popitem(last=False)
            del self._sizes[oldest]


@dataclass
class Waiting:
    """A question that waits for the model.

    Attributes:
        question: The question.
        is_done: Whether there is an answer or an error.
        answer: The answer.
        error: Why there is none.
    """

    question: Any
    is_done: bool = False
    answer: Any = None
    error: Exception | None = None


def count_bytes(answer: object) -> int:
    """Returns the length of an answer as JSON; it is a schema or a list of them."""
    return len(to_json(answer))


class Worker:
    """Runs the model's work in one thread at a time.

    Args:
        service: The model.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._numbers = service.graph.num_entities * service.completer.config.model.dim
        self._limiter: CapacityLimiter | None = None
        self._answers: Recent[Hashable, object] = Recent(KEPT_BYTES, count_bytes)
        self._waiting: dict[Hashable, deque[Waiting]] = defaultdict(deque)
        self._grown: Recent[str, Service] = Recent(1 if self._numbers >= LARGE else KEPT_ENTITIES)

    async def run(
        self,
        work: Callable[[Service], T],
        new: NewEntity | None = None,
        key: Hashable | None = None,
    ) -> T:
        """Does some work and returns its result.

        Args:
            work: Takes the service.
            new: A new entity, which the service then has.
            key: The work of equal keys has equal results, which are kept; None to keep none.
        """

        def do() -> T:
            with fitting_threads(self._numbers):
                return work(self.service if new is None else self._with_new(new))

        def do_once() -> T:
            return do() if key is None else cast(T, self._answers.get_or_make(key, do))

        if self._limiter is None:  # of the loop that runs
            self._limiter = CapacityLimiter(1)
        return await to_thread.run_sync(do_once, limiter=self._limiter)

    async def run_together(
        self, kind: Hashable, question: K, work: Callable[[Service, list[K]], Sequence[T]]
    ) -> T:
        """Answers a question, together with those of its kind that wait for the model.

        Args:
            kind: Questions of one kind have the same work.
            question: Equal ones have equal answers, which are kept. The names in it are known: an
                error of one question is the error of all that are answered with it.
            work: Takes the service and questions; returns an answer to each.
        """
        mine = Waiting(question)
        self._waiting[kind].append(mine)
        await self.run(lambda service: self._answer_waiting(service, kind, mine, work))
        if mine.error is not None:
            raise mine.error
        return cast(T, mine.answer)

    def _answer_waiting(
        self,
        service: Service,
        kind: Hashable,
        mine: Waiting,
        work: Callable[[Service, list[K]], Sequence[T]],
    ) -> None:
        """Answers the questions that wait, until one of them is answered."""
        queue = self._waiting[kind]
        while not mine.is_done:
            taken = [queue.popleft() for _ in range(min(TOGETHER, len(queue)))]
            asked = dict.fromkeys(each.question for each in taken)
            found = {
                each: self._answers[kind, each] for each in asked if (kind, each) in self._answers
            }
            new = [each for each in asked if each not in found]
            try:
                found |= zip(new, work(service, new) if new else (), strict=True)
            except Exception as error:
                for each in taken:
                    each.error = error
            for each in taken:
                each.answer, each.is_done = found.get(each.question), True
            for question in new:
                if question in found:
                    self._answers.keep((kind, question), found[question])

    def _with_new(self, new: NewEntity) -> Service:
        key = hashlib.sha256(new.model_dump_json().encode()).hexdigest()
        return self._grown.get_or_make(key, lambda: self.service.with_new(new))
