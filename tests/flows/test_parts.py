"""The processes of `make ui` as parts of which none goes on without the others."""

import sys
from pathlib import Path

import pytest

from flows.faults import FlowError
from flows.processes.children import Children
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


def test_a_step_runs_to_its_end_and_its_output_is_kept(tmp_path: Path) -> None:
    with Children() as children:
        Parts(children, tmp_path).run("register", QUICK)
    assert (tmp_path / "register.log").read_text() == "done\n"


def test_a_step_that_fails_is_an_error(tmp_path: Path) -> None:
    with Children() as children, pytest.raises(FlowError, match="register ended with status 3"):
        Parts(children, tmp_path).run("register", FAILING)


def test_a_part_whose_log_cannot_be_written_ends_and_says_why(tmp_path: Path) -> None:
    with Children() as children:
        parts = Parts(children, tmp_path / "missing")
        parts.start("server", WAITING)
        with pytest.raises(FlowError, match=r"server\.log cannot be written: .*No such file"):
            parts.watch()


def test_a_step_ends_when_a_part_does(tmp_path: Path) -> None:
    with Children() as children:
        parts = Parts(children, tmp_path)
        parts.start("server", FAILING)
        with pytest.raises(FlowError, match="server ended"):
            parts.run("register", WAITING)
