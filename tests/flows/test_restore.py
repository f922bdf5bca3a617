"""The outs of a stage and dvc.lock after a run that did not end well."""

import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo
from workspace import Workspace

from flows.running.workspace import (
    LOCK_FILE,
    dvc_locked,
    keep_lock_file,
    repair_lock_file,
    restore_command,
)

# DVC's own libraries warn of their deprecations.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


def test_a_lock_file_that_was_cut_is_put_back_with_the_outs(copied: Workspace) -> None:
    whole = LOCK_FILE.read_bytes()
    predictions = Path("results/predictions.parquet")
    good = predictions.read_bytes()
    keep_lock_file("predict", print)
    LOCK_FILE.write_bytes(whole[: len(whole) // 2])
    predictions.write_bytes(b"half")
    subprocess.run(restore_command("predict"), check=True)
    assert LOCK_FILE.read_bytes() == whole
    assert predictions.read_bytes() == good


def mend(stage: str) -> None:
    with dvc_locked(print):
        repair_lock_file(stage)


@pytest.mark.parametrize("rest", ["", "sche", "schema: '2.0'\n", "schema: '2.0'\nstages:\n"])
def test_a_lock_file_that_was_cut_near_its_beginning_is_put_back(
    rest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    Repo.init().close()
    LOCK_FILE.write_text(rest)
    mend("first")  # none was kept: there was none before
    assert not LOCK_FILE.exists()
    whole = "schema: '2.0'\nstages:\n  first:\n    cmd: x\n"
    LOCK_FILE.write_text(whole)
    keep_lock_file("first", print)
    LOCK_FILE.write_text(rest)
    mend("first")
    assert LOCK_FILE.read_text() == whole
    LOCK_FILE.unlink()
    mend("first")
    assert LOCK_FILE.read_text() == whole


def test_what_was_never_made_whole_is_removed(fresh: Workspace) -> None:
    keep_lock_file("download", print)
    half = Path("data/raw/half")
    half.parent.mkdir(parents=True)
    half.write_text("half")
    subprocess.run(restore_command("download"), check=True)
    assert not half.parent.exists()
