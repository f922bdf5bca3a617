"""The outs of a stage and dvc.lock after a run that did not end well."""

import subprocess
from pathlib import Path

import pytest
from workspace import Workspace

from flows.running.lock_file import LOCK_FILE
from flows.running.restore import keep_lock_file, restoring

# DVC's own libraries warn of their deprecations.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


def test_a_lock_file_that_was_cut_is_put_back_with_the_outs(copied: Workspace) -> None:
    whole = LOCK_FILE.read_bytes()
    predictions = Path("results/predictions.parquet")
    good = predictions.read_bytes()
    keep_lock_file("predict")
    LOCK_FILE.write_bytes(whole[: len(whole) // 2])
    predictions.write_bytes(b"half")
    subprocess.run(restoring("predict"), check=True)
    assert LOCK_FILE.read_bytes() == whole
    assert predictions.read_bytes() == good


def test_what_was_never_made_whole_is_removed(fresh: Workspace) -> None:
    keep_lock_file("download")
    half = Path("data/raw/half")
    half.parent.mkdir(parents=True)
    half.write_text("half")
    subprocess.run(restoring("download"), check=True)
    assert not half.parent.exists()
