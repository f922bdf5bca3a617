"""The real pipeline with the real DVC on a tiny graph."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from workspace import Workspace

from imf_core.base.errors import DataError
from imf_core.graph.graph import load_graph

HEADS = {"structural", "visual", "textual", "fused"}


def model_hash(workspace: Workspace) -> str:
    return hashlib.sha256(
        (workspace.folder / "results/model/model.safetensors").read_bytes()
    ).hexdigest()


def tuning_bytes(workspace: Workspace) -> list[bytes]:
    folder = workspace.folder / "results/tuning"
    return [(folder / name).read_bytes() for name in ("chosen.json", "trials.csv")]


def flatten(values: dict[str, Any]) -> list[str]:
    """Returns the dotted names of nested values."""
    return [
        f"{name}.{inner}" if inner else name
        for name, value in values.items()
        for inner in (flatten(value) if isinstance(value, dict) else [""])
    ]


def test_the_metrics_have_the_promised_names(finished: Workspace) -> None:
    metrics = json.loads((finished.folder / "results/evaluation/metrics.json").read_text())
    for split in ("valid", "test"):
        assert HEADS | {"head", "tail", "mrr", "mean_rank"} <= set(metrics[split])
        for part in (metrics[split], *(metrics[split][key] for key in HEADS | {"head", "tail"})):
            assert {"mrr", "hits_at_1", "hits_at_3", "hits_at_10", "mean_rank"} <= set(part)
    assert metrics["test_digest"] == load_graph(finished.folder / "data/graph").test_digest


def test_predictions_name_facts_and_shares(finished: Workspace) -> None:
    table = pq.read_table(finished.folder / "results/predictions.parquet")
    known_in = table["known_in"].to_pylist()
    assert 0 < known_in.count("new") <= 20  # `predict.top_k`; facts of valid and test beside them
    assert {f"share_{head}" for head in HEADS} <= set(table.column_names)


@pytest.mark.slow
def test_what_is_shown_can_be_cut_off_by_its_reader(finished: Workspace) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "cli", "show"]
    shown = subprocess.run(
        command,
        cwd=finished.folder,
        env=finished.environment,
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (shown.returncode, shown.stderr) == (-signal.SIGPIPE, b"")


def test_a_second_run_does_nothing(copied: Workspace) -> None:
    output = copied.dvc("repro").stdout
    assert "Running stage" not in output
    assert "up to date" in output
    shown = copied.run(sys.executable, "-m", "cli", "run").stdout
    assert "Running stage" not in shown
    assert "the graph and its audit (results/data.json)" in shown.splitlines()[0]
    assert "(results/report.html)" in shown.splitlines()[0]
    assert "\nfull model " in shown


@pytest.mark.slow
def test_choosing_and_training_again_gives_the_same_bytes(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Without the finished trials and states, from which both would go on.
    monkeypatch.setitem(copied.environment, "IMF_STATE", str(tmp_path / "state"))
    before = model_hash(copied), tuning_bytes(copied)
    for stage in ("tune", "train"):
        copied.stage(stage)
    assert (model_hash(copied), tuning_bytes(copied)) == before


@pytest.mark.slow
def test_an_experiment_gives_another_model_and_is_restored_when_repeated(
    copied: Workspace,
) -> None:
    before = model_hash(copied)
    first = copied.dvc("exp", "run", "-S", "fusion.rank=64").stdout
    changed = model_hash(copied)
    copied.dvc("exp", "run", "-S", "fusion.rank=3", "train")
    assert model_hash(copied) == before
    again = copied.dvc("exp", "run", "-S", "fusion.rank=64", "train").stdout
    assert "Running stage 'train'" in first
    assert "Running stage 'tune'" not in first
    assert changed != before
    assert "Stage 'train' is cached" in again
    assert model_hash(copied) == changed


@pytest.mark.slow
def test_more_epochs_go_on_from_the_last_ones_without_trials(copied: Workspace) -> None:
    copied.set_params({"train": {"epochs": 6}})
    result = copied.dvc("repro", "train").stdout
    training = json.loads((copied.folder / "results/model/config.json").read_text())["training"]
    assert "Running stage 'tune'" not in result
    assert "the last checkpoint of this run" in result
    assert training["trained_epochs"] == 6


def test_a_parameter_that_does_not_exist_is_refused(copied: Workspace) -> None:
    result = copied.dvc("exp", "run", "-S", "fusion.rnk=64", check=False)
    assert result.returncode != 0
    assert "fusion.rnk" in result.stdout + result.stderr


@pytest.mark.slow
def test_a_value_out_of_range_is_named_without_a_traceback(copied: Workspace) -> None:
    result = copied.dvc("exp", "run", "-S", "fusion.rank=-1", check=False)
    assert result.returncode != 0
    message = result.stdout + result.stderr
    assert "params.yaml: fusion.rank must be greater than or equal to 0, got -1" in message
    assert "Traceback" not in message


def test_few_figures_are_metrics_of_dvc(copied: Workspace) -> None:
    shown = json.loads(copied.dvc("metrics", "show", "--json").stdout)
    names = [name for file in shown[""]["data"].values() for name in flatten(file["data"])]
    of_split = ("mrr", "hits_at_1", "hits_at_3", "hits_at_10")
    of_splits = [f"{split}.{metric}" for split in ("valid", "test") for metric in of_split]
    assert sorted(names) == sorted(["loss", "step", "valid_mrr", *of_splits])


@pytest.mark.slow
def test_features_of_another_graph_are_refused(copied: Workspace) -> None:
    train = copied.folder / "examples/solar-system/train.txt"
    train.write_text(train.read_text() + "planet/X\torbits\tstar/Sun\nplanet/X\torbits\tplanet/Y\n")
    copied.stage("download")
    copied.stage("prepare")
    result = copied.run(sys.executable, "-m", "stages.evaluate", check=False)
    assert result.returncode == 1
    assert "belongs to another graph" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_training_killed_in_the_middle_goes_on_to_the_same_model(
    finished: Workspace, tmp_path: Path
) -> None:
    folders = {}
    for name in ("whole", "killed"):
        folders[name] = Workspace(tmp_path / name)
        shutil.copytree(
            finished.folder, folders[name].folder, ignore=shutil.ignore_patterns(".git", ".imf")
        )
        folders[name].set_params({"train": {"epochs": 24, "patience": 50}})
    command = (sys.executable, "-m", "stages.train")
    folders["whole"].stage("train")
    killed = folders["killed"]
    process = subprocess.Popen(
        command,
        cwd=killed.folder,
        env=killed.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    checkpoints = killed.folder / ".imf/checkpoints"
    deadline = time.monotonic() + 120
    while not list(checkpoints.glob("*/last.pt")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    killed.stage("train")
    assert model_hash(killed) == model_hash(folders["whole"])
    history = "results/training/plots/metrics/loss.tsv"
    assert (killed.folder / history).read_text() == (folders["whole"].folder / history).read_text()
    assert len(list(checkpoints.glob("*/finished"))) == 1  # for a run of more epochs


@pytest.mark.slow
def test_images_that_are_listed_but_nowhere_are_named_and_left_out_with_auto(
    copied: Workspace,
) -> None:
    (copied.folder / "examples/solar-system/image_index.tsv").unlink()
    for stage in ("download", "prepare", "media", "images", "image_features", "text_features"):
        copied.stage(stage)
    with pytest.raises(DataError, match="no entity has a usable image"):
        copied.stage("tune")
    copied.set_params({"model": {"modalities": "auto"}})
    copied.stage("tune")
    copied.stage("train")
    config = json.loads((copied.folder / "results/model/config.json").read_text())
    assert config["model"]["modalities"] == ["structure", "text"]
