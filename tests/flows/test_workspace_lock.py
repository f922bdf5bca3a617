"""The workspace belongs to one run at a time."""

import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from dvc.repo import Repo

from flows.running.workspace import locked_workspace

# DVC and the libraries below it warn of their own deprecations.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(autouse=True)
def _empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True).close()


def test_a_second_run_waits_and_is_told_for_whom() -> None:
    told: list[str] = []
    order: list[str] = []
    is_waiting = threading.Event()

    def tell(line: str) -> None:
        told.append(line)
        is_waiting.set()

    def second() -> None:
        with locked_workspace("second", tell):
            order.append("second in")

    with locked_workspace("first", told.append):
        thread = threading.Thread(target=second)
        thread.start()
        assert is_waiting.wait(60)
        order.append("first out")
    thread.join()
    assert order == ["first out", "second in"]
    assert told == ["waiting for the run 'first' to leave the workspace"]


def test_what_a_killed_run_leaves_behind_still_holds_the_workspace() -> None:
    told: list[str] = []
    with locked_workspace("killed", told.append) as lock:
        left = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock]
        )

    def let_end(line: str) -> None:
        told.append(line)
        assert left.stdin is not None
        left.stdin.close()
        left.wait()

    with locked_workspace("next", let_end):
        assert told == ["waiting for the run 'killed' to leave the workspace"]


def test_it_is_free_after_an_error() -> None:
    with suppress(KeyboardInterrupt), locked_workspace("failing", print):
        raise KeyboardInterrupt
    with locked_workspace("next", pytest.fail) as lock:
        assert lock > 0
