"""One experiment without a server: result, failure and kill."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from workspace import Workspace

from flows.errors import FlowError
from flows.experiments.comparison import compare_with_baseline, write_page
from flows.experiments.run_experiment import Plan, run_experiment
from flows.experiments.workspace_copy import Experiment, git, list_experiments, record_version
from flows.promote import check_nothing_is_lost, find_experiment
from flows.running.children import Children
from flows.running.workspace import locked_workspace

# DVC and the libraries below it warn of their own deprecations.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

FOLDER = Path(".dvc/tmp/imf-experiments/x")

START = """
import logging, sys
from pathlib import Path
from flows.running.children import Children
from flows.experiments.run_experiment import Plan, run_experiment
from flows.experiments.workspace_copy import record_version
logging.basicConfig(level=logging.INFO, stream=sys.stdout, force=True)  # in place of Prefect's
with Children() as children:
    changes = {"train.epochs": 100000, "train.patience": 100000}
    plan = Plan("x", record_version(print), changes, "train")
    run_experiment(plan, Path(sys.argv[1]), {}, children, logging.getLogger(), print)
"""


def run(changes: dict[str, Any], target: str | None = "train") -> dict[str, Any]:
    with Children() as children:
        log = logging.getLogger("test")
        plan = Plan("x", record_version(print), changes, target)
        return run_experiment(plan, FOLDER, {}, children, log, lambda bar: None)


def working_in(folder: Path) -> list[psutil.Process]:
    """Lists the processes, but for this one, whose working folder is in another."""
    processes = psutil.process_iter(["cwd"])
    there = [each for each in processes if (each.info["cwd"] or "").startswith(str(folder))]
    return [process for process in there if process.pid != os.getpid()]


def pretend(name: str, base: str = "HEAD") -> Experiment:
    """Makes an experiment that has the files of a commit."""
    tree, baseline = git("rev-parse", f"{base}^{{tree}}", "HEAD").split()
    commit = git("commit-tree", tree, "-p", baseline, "-m", name).strip()
    experiment = Experiment(name, baseline, commit)
    git("update-ref", experiment.ref, commit)
    return experiment


MODEL = "results/model"


def test_an_experiment_runs_beside_a_run_that_holds_the_workspace_and_leaves_it_alone(
    replayed: Workspace,
) -> None:
    Path("flows/running/command.py").write_text(
        Path("flows/running/command.py").read_text() + "# mine\n"
    )
    files = [
        Path("params.yaml"),
        Path("dvc.lock"),
        Path(".git/HEAD"),
        Path("flows/running/command.py"),
    ]

    def state() -> tuple[object, ...]:
        return [(file.stat().st_ino, file.stat().st_mtime_ns) for file in files], git("status")

    before = state()
    with locked_workspace("pipeline", print):
        metrics = run({"fusion.rank": 4})
    assert state() == before
    assert metrics["valid_mrr"] > 0
    (made,) = list_experiments()
    assert made.name == "x"
    changed = git("diff", "--name-only", "HEAD", made.commit).split()
    assert changed == ["dvc.lock", "flows/running/command.py", "params.yaml"]
    assert git("diff", "HEAD", made.commit, "--", "params.yaml").count("\n+ ") == 1
    assert not FOLDER.exists()
    # Test is not scored, and the baseline's scores do not pass for the experiment's.
    shown = json.loads(replayed.dvc("exp", "diff", "--json", "--all", "HEAD", "x").stdout)
    test_mrr = shown["metrics"]["results/evaluation/summary.json"]["test.mrr"]
    assert test_mrr["new"] is None


def test_an_experiment_that_is_killed_leaves_no_process_and_no_copy(copied: Workspace) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", START, str(FOLDER)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = next(line for line in process.stdout if "training on" in line)
    assert "387 rows" in said
    process.send_signal(signal.SIGKILL)
    process.communicate()
    while FOLDER.exists() or working_in(copied.folder):
        time.sleep(0.1)
    assert git("status", "--short") == ""


def test_an_experiment_is_compared_with_the_workspace_where_nothing_is_committed(
    replayed: Workspace,
) -> None:
    made = pretend("x")
    git("rm", "--quiet", "--cached", "dvc.lock")
    git("commit", "-qm", "without results")
    page = write_page("x", compare_with_baseline(made.commit, print))
    assert "Beside the workspace's run, which is not committed" in page
    assert page.count("| +0.0 |") == 8
    assert "The parameters are the same" in page
    # What made the metrics counts, not what params.yaml has by now.
    replayed.set_params({"fusion": {"rank": 7}, "train": {"epochs": 9}})
    page = write_page("x", compare_with_baseline(made.commit, print))
    assert "The parameters are the same" in page
    git("commit", "-qam", "other values")
    later = pretend("later")
    page = write_page("later", compare_with_baseline(later.commit, print))
    assert "| fusion.rank | 3 | 7 |" in page
    lock = yaml.safe_load(Path("dvc.lock").read_text())  # of a training that is not evaluated
    next(out for out in lock["stages"]["train"]["outs"] if out["path"] == MODEL)["md5"] = "0" * 32
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    page = write_page("x", compare_with_baseline(made.commit, print))
    assert "Nothing to compare with" in page
    Path("dvc.lock").unlink()
    shutil.rmtree("results")
    page = write_page("x", compare_with_baseline(made.commit, print))
    assert "Nothing to compare with" in page
    assert page.count("| test ") == 4


def test_only_experiments_of_the_present_code_can_be_promoted(replayed: Workspace) -> None:
    made = pretend("old")
    assert find_experiment("old") == made
    with pytest.raises(FlowError, match="no experiment new; there are: old"):
        find_experiment("new")
    replayed.set_params({"fusion": {"rank": 5}})
    git("commit", "-qam", "another value")
    assert find_experiment("old") == made
    Path("flows/errors.py").write_text("# other code\n")
    git("commit", "-qam", "other code")
    with pytest.raises(FlowError, match=rf"{made.baseline[:7]};.* undo: flows/errors.py; .* again"):
        find_experiment("old")


def test_a_file_that_git_is_to_track_and_the_experiment_has_is_not_in_the_way(
    replayed: Workspace,
) -> None:
    Path("mine").write_text("mine")
    git("add", "--intent-to-add", "mine")
    run({})
    (made,) = list_experiments()
    check_nothing_is_lost(made)
    Path("mine").write_text("changed since")
    with pytest.raises(FlowError, match="would be overwritten: mine;"):
        check_nothing_is_lost(made)


def test_promoting_never_overwrites_what_is_nowhere_else(replayed: Workspace) -> None:
    made = pretend("x")
    check_nothing_is_lost(made)
    Path("dvc.lock").write_text(Path("dvc.lock").read_text() + "# run again\n")
    Path("of-no-matter").touch()
    check_nothing_is_lost(made)
    replayed.set_params({"fusion": {"rank": 9}})
    with pytest.raises(FlowError, match=r"would be overwritten: params.yaml; commit them"):
        check_nothing_is_lost(made)
    git("stash", "--quiet")
    pretend("kept", "stash@{0}")
    git("stash", "pop", "--quiet")
    check_nothing_is_lost(made)  # another experiment has just this


def test_promoting_never_overwrites_what_git_does_not_track(replayed: Workspace) -> None:
    (Path("mine")).mkdir()
    files = ["café.txt", "two\nlines", "mine/t", "same", "a/b", "folder", "data/ignored"]
    Path("a").mkdir()
    for file in files:
        Path(file).write_text("theirs")
    git("add", "--force", *files)
    git("commit", "-qm", "theirs")
    made = pretend("x")
    git("reset", "-q", "--hard", "HEAD~")
    made = Experiment("x", git("rev-parse", "HEAD").strip(), made.commit)
    check_nothing_is_lost(made)
    Path(".git/info/exclude").write_text("mine\n")
    for folder in ("mine", "folder"):
        Path(folder).mkdir()
    for file in ("café.txt", "two\nlines", "mine/t", "a", "folder/mine", "data/ignored"):
        Path(file).write_text("mine")
    Path("same").write_text("theirs")
    with pytest.raises(FlowError) as raised:
        check_nothing_is_lost(made)
    told = str(raised.value).partition("overwritten: ")[2].partition("; commit them")[0]
    assert set(told.split(", ")) == {
        "a",
        "café.txt",
        "data/ignored",
        "folder",
        "mine/t",
        "two\nlines",
    }
