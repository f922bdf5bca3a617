import asyncio

import pytest

from imf_core.web import hosts
from imf_core.web.hosts import HostGivenUpError, Hosts


class Clock:
    """A clock that only sleeping advances."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(hosts, "time", made)
    monkeypatch.setattr(hosts, "sleep", made.sleep)
    monkeypatch.setattr(hosts, "FIRST_PAUSE_SECONDS", 1.0)
    return made


def test_a_pause_holds_for_every_request_to_the_host_and_for_no_other(clock: Clock) -> None:
    async def run() -> list[float]:
        turns = Hosts(4, 30.0, set())
        async with turns.turn("a:80") as host:
            host.ask_to_pause(3.0)
        async with turns.turn("b:80"):
            moments = [clock.now]
        for _ in range(2):
            async with turns.turn("a:80"):
                moments.append(clock.now)
        return moments

    assert asyncio.run(run()) == [0.0, 3.0, 3.0]
    assert clock.slept == [3.0]


def test_a_longer_pause_asked_for_meanwhile_is_kept_too(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> float:
        turns = Hosts(4, 30.0, set())
        async with turns.turn("a:80") as host:
            host.ask_to_pause(3.0)

        async def sleep_while_another_request_is_told(seconds: float) -> None:
            if not clock.slept:
                host.ask_to_pause(8.0)
            await clock.sleep(seconds)

        monkeypatch.setattr(hosts, "sleep", sleep_while_another_request_is_told)
        async with turns.turn("a:80"):
            return clock.now

    assert asyncio.run(run()) == 8.0
    assert clock.slept == [3.0, 5.0]


def test_a_pause_longer_than_is_granted_gives_the_host_up_at_once(clock: Clock) -> None:
    async def run() -> None:
        turns = Hosts(4, 30.0, set())
        async with turns.turn("a:80") as host:
            host.ask_to_pause(31.0)
        async with turns.turn("a:80"):
            pass

    with pytest.raises(HostGivenUpError, match=r"a:80 asks for a pause longer than .* \(30\)"):
        asyncio.run(run())
    assert clock.slept == []


def test_a_host_is_paused_for_as_long_as_it_was_silent_and_given_up_after_minutes(
    clock: Clock,
) -> None:
    async def run() -> None:
        turns = Hosts(4, 30.0, set())
        while True:
            async with turns.turn("a:80") as host:
                host.note_silence()

    with pytest.raises(HostGivenUpError, match="a:80 did not answer for 120 s") as given_up:
        asyncio.run(run())
    assert clock.slept == [1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]
    assert not given_up.value.had_answered


def test_many_silences_at_once_are_one(clock: Clock) -> None:
    async def run() -> None:
        turns = Hosts(64, 30.0, set())
        async with turns.turn("a:80") as host:
            for _ in range(64):
                host.note_silence()
        async with turns.turn("a:80"):
            pass

    asyncio.run(run())
    assert clock.slept == [1.0]


def test_an_answer_ends_a_silence_and_is_remembered_for_the_run(clock: Clock) -> None:
    answered: set[str] = set()

    async def run() -> None:
        turns = Hosts(4, 30.0, answered)
        for _ in range(200):
            async with turns.turn("a:80") as host:
                host.note_silence()
            async with turns.turn("a:80") as host:
                host.note_answer()

    asyncio.run(run())
    assert set(clock.slept) == {1.0}
    assert answered == {"a:80"}


def test_a_silence_does_not_go_on_while_nobody_asks(clock: Clock) -> None:
    async def run() -> None:
        turns = Hosts(4, 30.0, set())
        for _ in range(3):
            async with turns.turn("a:80") as host:
                host.note_silence()
            clock.now += 1000.0
        async with turns.turn("a:80"):
            pass

    asyncio.run(run())
    assert clock.slept == []


def test_hosts_of_which_nothing_is_known_are_forgotten() -> None:
    async def run() -> int:
        turns = Hosts(4, 30.0, set())
        for number in range(100):
            async with turns.turn(f"{number}:80"):
                pass
        return len(turns._hosts)

    assert asyncio.run(run()) == 0
