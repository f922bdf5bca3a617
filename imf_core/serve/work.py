"""The one thread that uses the model, the recent answers, and the recent new entities.

Requests wait for the model in their order; searches, pictures and lists of facts do not. Questions
of one kind that wait are answered together: on a large graph, reading the embeddings takes most of
the time, and one product reads them for all.
"""

import asyncio
import hashlib
from asyncio import Future, Task
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
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
        self._total = 0

    def find(self, key: K) -> T | None:
        """Returns the value of a key, which is then the most recent one; None without a value."""
        if key in self:
            self.move_to_end(key)
        return self.get(key)

    def keep(self, key: K, value: T) -> None:
        """Keeps the value of a new key in place of the oldest ones, unless it is too large."""
        size = self._measure(value)
        if size > self._most:
            return
        self[key], self._sizes[key] = value, size
        self._total += size
        while self._total > self._most:
            oldest, _ = self.popitem(last=False)
            self._total -= self._sizes.pop(oldest)


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
        self._waiting: dict[Hashable, dict[Any, Future[Any]]] = {}
        self._tasks: set[Task[None]] = set()
        self._grown: Recent[str, Service] = Recent(1 if self._numbers >= LARGE else KEPT_ENTITIES)

    async def run(self, work: Callable[[Service], T], new: NewEntity | None = None) -> T:
        """Does some work and returns its result.

        Args:
            work: Takes the service.
            new: A new entity, which the service then has.
        """

        def do() -> T:
            with fitting_threads(self._numbers):
                return work(self.service if new is None else self._with_new(new))

        if self._limiter is None:  # of the loop that runs
            self._limiter = CapacityLimiter(1)
        return await to_thread.run_sync(do, limiter=self._limiter)

    async def run_once(self, key: Hashable, work: Callable[[Service], T]) -> T:
        """Does some work and returns its result, which is kept: equal keys have equal results."""
        return await self.run_together(key, None, lambda service, _: [work(service)])

    async def run_together(
        self, kind: Hashable, question: K, work: Callable[[Service, list[K]], Sequence[T]]
    ) -> T:
        """Answers a question, together with those of its kind that wait for the model.

        Args:
            kind: Questions of one kind have the same work.
            question: Equal ones have equal answers, which are kept. Check its names before: an
                error fails all questions that are answered together.
            work: Takes the service and questions; returns an answer to each.
        """
        if (kept := self._answers.find((kind, question))) is not None:
            return cast(T, kept)
        waiting = self._waiting.setdefault(kind, {})
        if not waiting:
            task = asyncio.create_task(self._work_off(kind, work))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if question not in waiting:
            waiting[question] = asyncio.get_running_loop().create_future()
        return cast(T, await asyncio.shield(waiting[question]))

    async def _work_off(
        self, kind: Hashable, work: Callable[[Service, list[K]], Sequence[T]]
    ) -> None:
        """Answers the questions of a kind, some at a time, until none waits."""
        waiting = self._waiting[kind]
        while waiting:
            taken: list[K] = []

            def answer(service: Service, taken: list[K] = taken) -> list[T]:
                taken += list(waiting)[:TOGETHER]  # once the model is free
                return list(work(service, taken))

            try:
                answers = dict(zip(taken, await self.run(answer), strict=True))
            except asyncio.CancelledError:
                del self._waiting[kind]
                for future in waiting.values():
                    future.cancel()
                raise
            except BaseException as error:
                for question in taken or list(waiting):
                    waiting.pop(question).set_exception(error)
            else:
                for question, found in answers.items():
                    self._answers.keep((kind, question), found)
                    waiting.pop(question).set_result(found)
        del self._waiting[kind]

    def _with_new(self, new: NewEntity) -> Service:
        key = hashlib.sha256(new.model_dump_json().encode()).hexdigest()
        service = self._grown.find(key)
        if service is None:
            service = self.service.with_new(new)
            self._grown.keep(key, service)
        return service
