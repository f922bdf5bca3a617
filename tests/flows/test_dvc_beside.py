"""A `dvc repro` in a shell beside a flow: the flow waits and reads only complete files."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from workspace import ROOT

from flows.errors import StageError
from flows.experiments.study import read_code
from flows.running.children import Child, Children
from flows.running.command import run_dvc
from flows.running.stage import is_unchanged, read_dag, read_hashes, reproduce
from flows.running.workspace import (
    dvc_locked,
    find_runner,
    idle_workspace,
    locked_workspace,
    restore,
    whole_files,
)

# DVC and the libraries below it warn of their own deprecations.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

PIPELINE = """
stages:
  wait:
    cmd: touch begun && while [ ! -e go ]; do sleep 0.1; done && echo made > made
    outs: [made]
  halves:
    cmd: >-
      printf first > halves && touch halfway && while [ ! -e go ]; do sleep 0.1; done
      && printf second >> halves
    outs: [halves]
  follow:
    cmd: cp made followed
    deps: [made]
    outs: [followed]
"""
DVC = [sys.executable, "-m", "dvc"]

HALF_WRITTEN = """
import time
from pathlib import Path
from dvc.repo import Repo
file = Path("dvc.lock")
text = file.read_text()
with Repo() as repo, repo.lock:
    file.write_text(text[:40])
    print("cut", flush=True)
    time.sleep(1.5)
    file.write_text(text)
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # of the leash of each process
    subprocess.run(["git", "init", "-q"], check=True)
    Repo.init().close()
    Path("dvc.yaml").write_text(PIPELINE)


@pytest.fixture
def at_work() -> Iterator["subprocess.Popen[bytes]"]:
    """A `dvc repro` whose first stage runs until there is a file `go`."""
    with subprocess.Popen([*DVC, "repro", "-q", "follow"]) as shell:
        while not Path("begun").exists():
            assert shell.poll() is None
        yield shell
        Path("go").touch()


class Lines(list[str]):
    """Lines of the waiting flow; the first lets the shell's stage end."""

    def __call__(self, line: str) -> None:
        self.append(line)
        Path("go").touch()

    def info(self, text: str, *arguments: object) -> None:
        self(text % arguments)

    def log(self, _level: int, text: str, *arguments: object) -> None:
        self.append(text % arguments)


def test_a_run_waits_for_a_dvc_repro_of_a_shell_and_names_it(
    at_work: "subprocess.Popen[bytes]",
) -> None:
    lines = Lines()
    with locked_workspace("pipeline", lines):
        assert Path("followed").read_text() == "made\n"
    assert at_work.wait() == 0
    assert [f"(process {at_work.pid}) to leave the workspace" in line for line in lines] == [True]
    assert "repro -q follow" in lines[0]


def test_a_stage_that_waits_leaves_the_half_written_outs_of_the_shell_alone() -> None:
    Path("halves").write_text("of the run before")
    with subprocess.Popen([*DVC, "repro", "-q", "halves"]) as shell:
        while not Path("halfway").exists():
            assert shell.poll() is None
        lines = Lines()
        with Children() as children:
            reproduce(children, "halves", False, lines, lambda _: None)  # type: ignore[arg-type]
        assert shell.wait() == 0
    assert Path("halves").read_text() == "firstsecond"
    subprocess.run([*DVC, "checkout", "--force", "halves"], check=True)
    assert Path("halves").read_text() == "firstsecond"


def test_restoring_leaves_alone_what_another_process_writes(
    at_work: "subprocess.Popen[bytes]",
) -> None:
    lines: list[str] = []
    Path("made").write_text("half")
    restore("wait", lines.append)
    assert Path("made").read_text() == "half"
    assert len(lines) == 1
    assert f"(process {at_work.pid}) writes its outs; they stay unchanged" in lines[0]


def test_a_program_whose_path_has_the_letters_dvc_is_not_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "dvc-files"
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", "input()", folder], stdin=-1) as other:
        note = {"write": {"/made": {"pid": other.pid, "cmd": "dvc repro"}}, "read": {}}
        Path(".dvc/tmp/rwlock").write_text(json.dumps(note))
        assert find_runner() == ""
        note["write"]["/made"]["cmd"] = f"-c input() {folder}"  # DVC used as a library
        Path(".dvc/tmp/rwlock").write_text(json.dumps(note))
        assert f"(process {other.pid})" in find_runner()
        assert find_runner({other.pid + 1}) == ""
        other.communicate(b"\n")


def test_dvc_is_not_started_again_while_the_process_that_blocks_it_works(
    at_work: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[object] = []
    start = Children.start

    def counted(self: Children, command: Sequence[str], *rest: Any) -> Child:
        starts.append(command)
        return start(self, command, *rest)

    monkeypatch.setattr(Children, "start", counted)
    monkeypatch.setattr("flows.running.command._BUSY_PAUSE_SECONDS", 0.1)

    class Patient(Lines):
        def __call__(self, line: str) -> None:
            self.append(line)
            threading.Timer(5, Path("go").touch).start()

    with Children() as children:
        reproduce(children, "wait", False, Patient(), lambda _: None)  # type: ignore[arg-type]
    assert at_work.wait() == 0
    assert len(starts) == 2


@pytest.mark.parametrize("stage", ["wait", "follow"])
def test_a_stage_waits_for_the_shell_that_runs_it_or_one_before_it(
    stage: str, at_work: "subprocess.Popen[bytes]"
) -> None:
    lines = Lines()
    with Children() as children:
        finished = reproduce(children, stage, False, lines, lambda _: None)  # type: ignore[arg-type]
    assert finished.hashes == read_hashes(stage, print) != {}
    assert at_work.wait() == 0
    assert len([line for line in lines if line.startswith("waiting for another process")]) == 1
    assert not any("ERROR" in line for line in lines)


def test_a_stage_without_changes_starts_no_process_of_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("go").touch()
    with Children() as children:
        first = reproduce(children, "wait", False, Lines(), lambda _: None)  # type: ignore[arg-type]
        with monkeypatch.context() as patch:
            patch.setattr(Children, "start", None)
            again = reproduce(children, "wait", False, Lines(), lambda _: None)  # type: ignore[arg-type]
    assert (first.outcome, again.outcome) == ("Completed", "Cached")
    assert first.hashes == again.hashes != {}


def test_a_stage_whose_out_is_gone_or_that_dvc_cannot_read_counts_as_changed() -> None:
    Path("go").touch()
    with Children() as children:
        reproduce(children, "wait", False, Lines(), lambda _: None)  # type: ignore[arg-type]
    assert is_unchanged("wait", print)
    Path("made").unlink()
    assert not is_unchanged("wait", print)
    Path("dvc.yaml").write_text("stages: 3")
    assert not is_unchanged("wait", print)


def test_a_stage_that_fails_by_itself_is_not_tried_again() -> None:
    Path("dvc.yaml").write_text("stages: {fail: {cmd: exit 3}}")
    with Children() as children, pytest.raises(StageError, match="exited with 3"):
        run_dvc(children, "fail", ["repro"], (), {}, Lines(), lambda _: None)  # type: ignore[arg-type]


FAILING = """
from imf_core.base.errors import DataError, NetworkError
from stages.runner import run_stage

def main():
    raise {error}

run_stage(main)
"""


@pytest.mark.parametrize(
    ("error", "kind", "message", "is_temporary"),
    [
        ("NetworkError('no answer')", "NetworkError", "no answer", True),
        ("DataError('line 1\\nexited with 75')", "DataError", "line 1\nexited with 75", False),
        ("KeyError('a')", "KeyError", "KeyError: 'a'", False),
    ],
)
def test_the_error_of_a_stage_passes_through_dvc(
    error: str, kind: str, message: str, is_temporary: bool
) -> None:
    Path("fail.py").write_text(FAILING.format(error=error))
    Path("dvc.yaml").write_text(f"stages: {{fail: {{cmd: {sys.executable} fail.py}}}}")
    with Children() as children, pytest.raises(StageError) as failed:
        run_dvc(children, "fail", ["repro"], (), {}, Lines(), lambda _: None)  # type: ignore[arg-type]
    assert str(failed.value) == f"fail: {message}"
    assert (failed.value.kind, failed.value.is_temporary) == (kind, is_temporary)


def test_what_a_killed_dvc_left_behind_is_not_waited_for() -> None:
    noted = '{"write": {"/made": {"pid": %d, "cmd": "dvc repro"}}, "read": {}}'
    ended = subprocess.Popen(["true"])
    ended.wait()
    mine = subprocess.Popen(["sleep", "60"])
    for process in (ended.pid, mine.pid):  # gone, and another program under the same number
        Path(".dvc/tmp/rwlock").write_text(noted % process)
        with idle_workspace(pytest.fail):
            pass
    mine.kill()
    mine.wait()


def test_dvc_lock_is_not_read_while_dvc_writes_it() -> None:
    Path("go").touch()
    subprocess.run([*DVC, "repro", "-q"], check=True)
    subprocess.run(["git", "add", "-A"], check=True)
    tree = subprocess.check_output(["git", "write-tree"], text=True).strip()
    readers = [
        lambda: read_dag(Path.cwd(), print),
        lambda: read_code(tree, "follow", print),
        lambda: read_hashes("follow", print),
    ]
    for read in readers:
        before = read()
        with subprocess.Popen(
            [sys.executable, "-c", HALF_WRITTEN], stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"cut\n"
            assert read() == before


def test_files_of_the_last_run_are_read_whole_without_dvcs_lock() -> None:
    Path("go").touch()
    subprocess.run([*DVC, "repro", "-q", "follow"], check=True)
    with whole_files([Path("made"), Path("nowhere")], pytest.fail) as folder:
        with dvc_locked(pytest.fail):  # free
            Path("made").unlink()  # as DVC does before a stage runs
            Path("made").write_text("half")
        assert (folder / "made").read_text() == "made\n"
        assert not (folder / "nowhere").exists()
    assert not folder.exists()


def test_a_lock_that_is_held_for_long_is_waited_for_and_that_is_said() -> None:
    said: list[str] = []
    is_said = threading.Event()

    def tell(line: str) -> None:
        said.append(line)
        is_said.set()

    def wait() -> None:
        with dvc_locked(tell):
            pass

    with dvc_locked(print):
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert is_said.wait(60)
    waiting.join()
    assert said == ["waiting for another process of DVC to release its lock"]
