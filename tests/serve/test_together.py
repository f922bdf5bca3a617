"""Questions that wait for the model are answered together, and each gets its own answer."""

import threading
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest
from served_world import make_completer

from imf_core.serve.service import Service
from imf_core.serve.work import TOGETHER, Worker


class Doubling:
    """Doubles numbers; no call ends before `go_on` is set."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.go_on = threading.Event()

    def __call__(self, _: Service, numbers: Sequence[int]) -> list[int]:
        """Returns the doubles; a negative number is an error."""
        self.calls.append(list(numbers))
        self.go_on.wait(10)
        if min(numbers) < 0:
            raise ValueError(f"negative: {min(numbers)}")
        return [2 * number for number in numbers]


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(Service(make_completer(tmp_path)))


async def ask_all(worker: Worker, doubling: Doubling, numbers: Sequence[int]) -> dict[int, object]:
    """Asks about all numbers at once; the model is free once they all wait."""
    found: dict[int, object] = {}

    async def ask(place: int, number: int) -> None:
        try:
            found[place] = await worker.run_together("double", number, doubling)
        except ValueError as error:
            found[place] = str(error)

    async with anyio.create_task_group() as group:
        for place, number in enumerate(numbers):
            group.start_soon(ask, place, number)
        await anyio.wait_all_tasks_blocked()
        doubling.go_on.set()
    return found


def test_questions_that_wait_are_answered_together(worker: Worker) -> None:
    doubling, numbers = Doubling(), range(3 * TOGETHER)
    found = anyio.run(ask_all, worker, doubling, numbers)
    assert found == {number: 2 * number for number in numbers}
    assert len(doubling.calls) < len(numbers) / 10
    assert max(map(len, doubling.calls)) <= TOGETHER
    assert sorted(number for call in doubling.calls for number in call) == list(numbers)


def test_equal_questions_are_answered_once(worker: Worker) -> None:
    async def ask_twice() -> Doubling:
        doubling = Doubling()
        await ask_all(worker, doubling, [1, 2, 2, 2])
        assert await ask_all(worker, doubling, [2, 3]) == {0: 4, 1: 6}
        return doubling

    asked = [number for call in anyio.run(ask_twice).calls for number in call]
    assert sorted(asked) == [1, 2, 3]


def test_an_error_reaches_those_that_were_answered_with_it_and_no_others(worker: Worker) -> None:
    async def ask() -> tuple[dict[int, object], dict[int, object]]:
        doubling = Doubling()
        return await ask_all(worker, doubling, [-1]), await ask_all(worker, doubling, [1, 2])

    failed, answered = anyio.run(ask)
    assert failed == {0: "negative: -1"}
    assert answered == {0: 2, 1: 4}


def test_a_kept_answer_is_given_beside_an_error(worker: Worker) -> None:
    async def ask() -> dict[int, object]:
        doubling = Doubling()
        await ask_all(worker, doubling, [1])
        return await ask_all(worker, doubling, [1, -1])

    assert anyio.run(ask) == {0: 2, 1: "negative: -1"}


def test_an_answer_does_not_wait_for_the_work_behind_it(worker: Worker) -> None:
    async def ask() -> bool:
        doubling, behind = Doubling(), threading.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(worker.run_together, "double", 1, doubling)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(worker.run, lambda _: behind.wait(10))
            doubling.go_on.set()
            answer = await worker.run_together("double", 1, doubling)
            is_first = not behind.is_set()
            behind.set()
        assert answer == 2
        return is_first

    assert anyio.run(ask)


def test_a_client_that_leaves_does_not_hold_up_the_others(worker: Worker) -> None:
    async def ask() -> dict[int, object]:
        doubling = Doubling()
        async with anyio.create_task_group() as leaving:
            for number in range(100, 100 + 2 * TOGETHER):
                leaving.start_soon(worker.run_together, "double", number, doubling)
            await anyio.wait_all_tasks_blocked()
            doubling.go_on.set()
            leaving.cancel_scope.cancel()
        return await ask_all(worker, doubling, [1, 2])

    assert anyio.run(ask) == {0: 2, 1: 4}
