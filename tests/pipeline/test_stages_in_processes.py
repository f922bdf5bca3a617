"""Stages in two processes behave like one process."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from workspace import Workspace

from imf_core.base.errors import ConfigError
from stages.torchrun import run_in_processes

pytestmark = pytest.mark.slow

IN_TWO = {"train": {"processes": 2}, "evaluate": {"processes": 2}}


@pytest.fixture
def workspace(finished: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the finished workspace for two processes, without checkpoints."""
    ignored = shutil.ignore_patterns(".imf")
    shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True, ignore=ignored)
    copy = Workspace(tmp_path / "copy")
    copy.set_params(IN_TWO)
    return copy


def run(workspace: Workspace, stage: str) -> subprocess.CompletedProcess[str]:
    return workspace.run(sys.executable, "-m", f"stages.{stage}", check=False)


def start(workspace: Workspace, stage: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", f"stages.{stage}"],
        cwd=workspace.folder,
        env={**workspace.environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.05)


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_two_processes_write_the_evaluation_that_one_writes(
    workspace: Workspace, finished: Workspace
) -> None:
    results = "results/evaluation"
    shutil.rmtree(workspace.folder / results)
    ended = run(workspace, "evaluate")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.count("test MRR") == 1
    assert files_in(workspace.folder / results) == files_in(finished.folder / results)


def test_two_processes_train_and_keep_one_finished_state(
    workspace: Workspace, finished: Workspace
) -> None:
    path = "results/training/metrics.json"
    before = json.loads((finished.folder / path).read_text())
    for name in ("model", "training"):
        shutil.rmtree(workspace.folder / "results" / name)
    ended = run(workspace, "train")
    assert (ended.returncode, ended.stdout.count("selected epoch")) == (0, 1)
    found = json.loads((workspace.folder / path).read_text())
    assert found["loss"] == pytest.approx(before["loss"], rel=1e-4)
    (state,) = (workspace.folder / ".imf/checkpoints").iterdir()
    assert (state / "finished").exists()


def test_an_error_of_both_is_told_once(workspace: Workspace) -> None:
    (workspace.folder / "data/features/text.parquet").unlink()
    ended = run(workspace, "evaluate")
    assert ended.returncode == 1
    assert ended.stderr == (
        "error: data/features/text.parquet is missing; run `dvc repro` to make it\n"
    )


def test_a_killed_stage_leaves_no_process_and_goes_on_when_run_again(workspace: Workspace) -> None:
    workspace.set_params({"train": {"epochs": 10**6, "patience": 10**6}})
    checkpoints = workspace.folder / ".imf/checkpoints"
    for number in (signal.SIGKILL, signal.SIGTERM):
        with start(workspace, "train") as launcher:
            assert launcher.stdout is not None
            first_line = launcher.stdout.readline()
            wait_until(lambda: bool(list(checkpoints.glob("*/last.pt"))))
            workers = psutil.Process(launcher.pid).children(recursive=True)
            launcher.send_signal(number)
            assert launcher.wait() == -number
            assert len(workers) == 2
            assert psutil.wait_procs(workers, timeout=60)[1] == []
            has_gone_on = first_line.startswith("going on from epoch ")
            assert has_gone_on == (number == signal.SIGTERM)


@pytest.mark.skipif(torch.cuda.device_count() >= 64, reason="there are so many GPUs")
def test_more_processes_than_gpus_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\.processes is 64, but each takes a GPU"):
        run_in_processes("train", "train", 64, torch.device("cuda"), lambda _: None)


def test_a_torch_without_distributed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"evaluate\.processes is 2, but this build of torch"):
        run_in_processes("evaluate", "evaluate", 2, torch.device("cpu"), lambda _: None)
