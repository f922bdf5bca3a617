"""Processes of a flow run end with it, whichever way it ends."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from dvc.repo import Repo
from workspace import ROOT

from flows.errors import StoppedError
from flows.running.children import Children
from flows.running.command import Bar, read_bar

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
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


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


def test_the_bars_of_tqdm_are_drawn_and_read() -> None:
    program = "from tqdm import tqdm; list(tqdm(range(4), desc='train', disable=None))"
    with Children() as children, children.start([sys.executable, "-c", program]) as child:
        bars = list(map(read_bar, child.lines()))
    assert bars[0] == Bar("train", 0)
    assert bars[-1] == Bar("train", 100)


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
        children.start(["sleep", "300"], after_failure=["touch", str(mark)])
        raise KeyboardInterrupt
    assert mark.exists()


def test_what_is_to_follow_a_failure_is_run_after_it(tmp_path: Path) -> None:
    mark = tmp_path / "restored"
    with Children() as children, children.start(["false"], ["touch", str(mark)]) as child:
        list(child.lines())
    assert mark.exists()


def test_a_command_that_nobody_reads_any_more_is_stopped_all_the_same() -> None:
    chatty = [sys.executable, "-c", "while True: print('x' * 1000)"]
    with suppress(KeyboardInterrupt), Children() as children, children.start(chatty, chatty[:1]):
        raise KeyboardInterrupt


def test_a_leash_that_is_told_to_end_takes_its_command_along(tmp_path: Path) -> None:
    mark = tmp_path / "restored"
    with (
        Children() as children,
        children.start(["bash", "-c", FAMILY], ["touch", str(mark)]) as child,
    ):
        lines = child.lines()
        family = read_family([next(lines) for _ in range(3)])
        os.kill(psutil.Process(family[2]).ppid(), signal.SIGTERM)
        list(lines)
    assert not any(map(is_alive, family))
    assert mark.exists()


def test_what_is_to_follow_a_stop_is_not_run_after_a_proper_end(tmp_path: Path) -> None:
    mark = tmp_path / "restored"
    with (
        Children() as children,
        children.start(["true"], after_failure=["touch", str(mark)]) as child,
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
from flows.running.children import Children
children = Children()
child = children.start(["bash", "-c", {FAMILY!r}], after_failure=["touch", {str(mark)!r}])
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


def test_a_file_is_held_by_the_command_itself(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as lock, path.open("w") as other:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = ["bash", "-c", "echo $$; sleep 300"]
        with Children([lock.fileno()]) as children, children.start(command) as child:
            (pid,) = read_family([next(child.lines())])
            lock.close()
            psutil.Process(psutil.Process(pid).ppid()).kill()  # the leash; the command goes on
            with pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.killpg(pid, signal.SIGKILL)
        fcntl.flock(other, fcntl.LOCK_EX)


def test_a_process_that_a_worker_has_launched_ends_with_the_worker(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    Repo.init(str(tmp_path)).close()
    waiting = """
import sys
from flows.running.workspace import locked_workspace
with locked_workspace("first", print):
    print("in", flush=True)
    input()
"""
    launched = {**os.environ, "PREFECT__FLOW_RUN_ID": "x", "PYTHONPATH": str(ROOT)}
    worker = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    parent = subprocess.Popen(
        [sys.executable, "-c", worker, waiting], cwd=tmp_path, env=launched,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    assert parent.stdout.readline() == "in\n"
    (run,) = psutil.Process(parent.pid).children()
    parent.kill()
    wait_until(lambda: not is_alive(run.pid))
    parent.communicate()
