"""Processes of a flow run end with it, whichever way it ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from workspace import ROOT

from flows.faults import StoppedError
from flows.processes.children import Children

# A shell that starts two more processes and says who they are; one of them ignores SIGTERM.
FAMILY = """
sleep 300 & echo $!
bash -c 'trap "" TERM; while true; do sleep 0.2; done' & echo $!
echo $$ ready
wait
"""


@pytest.fixture(autouse=True)
def _root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.02)


def read_family(lines: list[str]) -> list[int]:
    return [int(word) for line in lines for word in line.split() if word.isdigit()]


def test_both_outputs_come_as_lines_in_one_order() -> None:
    program = "import sys; print('one'); print('two', file=sys.stderr); print('three')"
    with Children() as children, children.start([sys.executable, "-c", program]) as child:
        assert list(child.lines()) == ["one", "two", "three"]


def test_the_exit_status_is_that_of_the_command() -> None:
    with Children() as children, children.start(["bash", "-c", "exit 7"]) as child:
        list(child.lines())
    assert child.wait() == 7
    assert not child.was_stopped


def test_the_states_of_a_bar_are_lines_and_colours_are_taken_out() -> None:
    command = ["printf", r"\033[31m10%%\033[0m\r20%%\r\n\033[0m\n"]
    with Children() as children, children.start(command) as child:
        assert list(child.lines()) == ["10%", "20%"]


def test_an_error_in_the_flow_stops_everything_that_a_command_has_started() -> None:
    lines: list[str] = []
    with suppress(KeyboardInterrupt), Children() as children:
        child = children.start(["bash", "-c", FAMILY])
        threading.Thread(target=lambda: lines.extend(child.lines())).start()
        wait_until(lambda: any("ready" in line for line in lines))
        raise KeyboardInterrupt
    assert len(read_family(lines)) == 3
    assert not any(map(is_alive, read_family(lines)))


def test_what_is_to_follow_a_stop_is_run_after_it(tmp_path: Path) -> None:
    mark = tmp_path / "restored"
    with suppress(KeyboardInterrupt), Children() as children:
        children.start(["sleep", "300"], after_stop=["touch", str(mark)])
        raise KeyboardInterrupt
    assert mark.exists()


def test_what_is_to_follow_a_stop_is_not_run_after_a_proper_end(tmp_path: Path) -> None:
    mark = tmp_path / "restored"
    with (
        Children() as children,
        children.start(["true"], after_stop=["touch", str(mark)]) as child,
    ):
        list(child.lines())
    assert not mark.exists()


def test_nothing_is_started_while_the_flow_is_being_stopped() -> None:
    children = Children()
    with suppress(KeyboardInterrupt), children:
        raise KeyboardInterrupt
    with pytest.raises(StoppedError):
        children.start(["true"])


def test_nothing_outlives_a_flow_that_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "restored"
    program = f"""
from flows.processes.children import Children
children = Children()
child = children.start(["bash", "-c", {FAMILY!r}], after_stop=["touch", {str(mark)!r}])
for line in child.lines():
    print(line, flush=True)
"""
    flow = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert flow.stdout is not None
    lines = [flow.stdout.readline() for _ in range(3)]
    os.kill(flow.pid, signal.SIGKILL)
    flow.wait()
    flow.stdout.close()
    family = read_family(lines)
    assert len(family) == 3
    wait_until(lambda: not any(map(is_alive, family)) and mark.exists())


def test_a_file_is_held_until_the_last_process_has_ended(tmp_path: Path) -> None:
    pipe_reader, pipe_writer = os.pipe()
    with Children([pipe_writer]) as children, children.start(["cat", "/dev/null"]) as child:
        os.close(pipe_writer)
        list(child.lines())
    assert os.read(pipe_reader, 1) == b""  # nobody holds the writing end any more
    os.close(pipe_reader)
