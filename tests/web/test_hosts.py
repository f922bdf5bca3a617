import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from imf_core.web import hosts
from imf_core.web.hosts import SILENT_FAILURES, HostGivenUpError, Hosts, retry_after_seconds


class Clock:
    """Time that passes by sleeping alone."""

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
    return made


def test_a_pause_holds_for_every_request_to_the_host_and_for_no_other(clock: Clock) -> None:
    async def run() -> list[float]:
        turns = Hosts(4, 30.0)
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
        turns = Hosts(4, 30.0)
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


def test_a_pause_longer_than_is_waited_for_gives_the_host_up(clock: Clock) -> None:
    async def run() -> None:
        turns = Hosts(4, 30.0)
        async with turns.turn("a:80") as host:
            host.ask_to_pause(31.0)
        async with turns.turn("a:80"):
            pass

    with pytest.raises(HostGivenUpError, match="a:80 asks for a pause longer than 30 s"):
        asyncio.run(run())
    assert clock.slept == []


def test_a_host_that_is_silent_many_times_in_a_row_is_left_alone() -> None:
    async def run() -> None:
        turns = Hosts(4, 30.0)
        for _ in range(SILENT_FAILURES):
            async with turns.turn("a:80") as host:
                host.note_silence()
        async with turns.turn("a:80"):
            pass

    with pytest.raises(HostGivenUpError, match="a:80 did not answer"):
        asyncio.run(run())


def test_an_answer_ends_the_row_of_silences() -> None:
    async def run() -> None:
        turns = Hosts(4, 30.0)
        for _ in range(2 * SILENT_FAILURES):
            async with turns.turn("a:80") as host:
                host.note_silence()
            async with turns.turn("a:80") as host:
                host.note_answer()

    asyncio.run(run())


def test_hosts_of_which_nothing_is_known_are_forgotten() -> None:
    async def run() -> int:
        turns = Hosts(4, 30.0)
        for number in range(100):
            async with turns.turn(f"{number}:80"):
                pass
        return len(turns._hosts)

    assert asyncio.run(run()) == 0


@pytest.mark.parametrize(
    ("header", "seconds"), [(None, None), ("7", 7.0), (" 0 ", 0.0), ("soon", None), ("-1", None)]
)
def test_a_retry_after_header_is_seconds_or_nothing(
    header: str | None, seconds: float | None
) -> None:
    assert retry_after_seconds(header) == seconds


def test_a_retry_after_header_may_be_a_date() -> None:
    moment = datetime.now(UTC).replace(microsecond=0)
    later = retry_after_seconds(format_datetime(moment + timedelta(hours=1), usegmt=True))
    assert later is not None
    assert 3500 < later <= 3600
    assert retry_after_seconds(format_datetime(moment - timedelta(hours=1), usegmt=True)) == 0.0
