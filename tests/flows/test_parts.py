"""The processes of `imf ui`: all end when one ends."""

import sys
from pathlib import Path

import pytest

from flows.errors import FlowError
from flows.running.children import Children
from flows.server.parts import Parts

WAITING = [sys.executable, "-c", "import time; time.sleep(600)"]
FAILING = [sys.executable, "-c", "print('the disk is full'); raise SystemExit(3)"]
QUICK = [sys.executable, "-c", "print('done')"]


def test_a_part_that_ends_is_told_with_its_last_lines(tmp_path: Path) -> None:
    with Children() as children:
        parts = Parts(children, tmp_path)
        parts.start("worker", WAITING)
        parts.start("server", FAILING)
        with pytest.raises(FlowError, match=r"(?s)server ended with status 3; .*the disk is full"):
            parts.watch()
        parts.stop()


def test_the_output_of_a_step_is_kept_with_that_of_earlier_starts(
    tmp_path: Path,
) -> None:
    with Children() as children:
        Parts(children, tmp_path).run("register", QUICK)
        Parts(children, tmp_path).run("register", QUICK)
    begun, *lines = (tmp_path / "register.log").read_text().splitlines()
    assert begun.startswith("--- 20")
    assert lines == ["done", lines[1], "done"]
    assert lines[1].startswith("--- 20")


def test_a_log_that_is_large_is_set_aside_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.server.parts._LARGEST_LOG_BYTES", 3)
    (tmp_path / "register.log").write_text("earlier\n")
    with Children() as children:
        Parts(children, tmp_path).run("register", QUICK)
    assert (tmp_path / "register.log.1").read_text() == "earlier\n"
    assert (tmp_path / "register.log").read_text().endswith("done\n")


def test_a_step_that_fails_is_an_error(tmp_path: Path) -> None:
    with Children() as children, pytest.raises(FlowError, match="register ended with status 3"):
        Parts(children, tmp_path).run("register", FAILING)


def test_a_part_whose_log_cannot_be_written_ends_and_says_why(tmp_path: Path) -> None:
    def run_server() -> None:
        with Children() as children:
            parts = Parts(children, tmp_path / "missing")
            parts.start("server", WAITING)
            parts.watch()

    with pytest.raises(FlowError, match=r"server\.log cannot be written: .*No such file"):
        run_server()


def test_a_step_ends_when_a_part_does(tmp_path: Path) -> None:
    def register() -> None:
        with Children() as children:
            parts = Parts(children, tmp_path)
            parts.start("server", FAILING)
            parts.run("register", WAITING)

    with pytest.raises(FlowError, match="server ended"):
        register()
