"""Progress of long loops: lines in a log, none for short loops."""

import pytest

from imf_core.base import terminal
from imf_core.base.terminal import format_minutes, track


def run_in_log(
    monkeypatch: pytest.MonkeyPatch, seconds_each: float, *, is_shown: bool = True
) -> list[int]:
    """Tracks four items that take some seconds each; standard error is no terminal."""
    now = 0.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    taken = []
    for item in track(iter(range(4)), "work", 4, is_shown=is_shown):
        taken.append(item)
        now += seconds_each
    return taken


def test_a_long_loop_prints_what_is_done_and_how_long_the_rest_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_in_log(monkeypatch, 100.0) == [0, 1, 2, 3]
    assert capsys.readouterr().out.splitlines() == [
        "work: 1 of 4, about 5 min left",
        "work: 2 of 4, about 3 min left",
        "work: 3 of 4, about 100 s left",
    ]


def test_lines_are_a_minute_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_in_log(monkeypatch, 35.0)
    assert capsys.readouterr().out.splitlines() == ["work: 2 of 4, about 70 s left"]


def test_a_short_loop_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_in_log(monkeypatch, 1.0)
    assert capsys.readouterr().out == ""


def test_other_processes_than_the_first_print_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_in_log(monkeypatch, 100.0, is_shown=False) == [0, 1, 2, 3]
    assert capsys.readouterr().out == ""


def test_a_terminal_shows_a_bar_and_no_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "BAR_SECONDS", 0.0)
    monkeypatch.setattr(terminal.sys.stderr, "isatty", lambda: True)
    assert list(track(iter(range(4)), "work", 4)) == [0, 1, 2, 3]
    shown = capsys.readouterr()
    assert "work" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(("seconds", "text"), [(3.4, "3 s"), (119.0, "119 s"), (150.0, "2 min")])
def test_minutes_are_for_what_takes_at_least_two(seconds: float, text: str) -> None:
    assert format_minutes(seconds) == text
