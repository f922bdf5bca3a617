"""The metrics of the last committed run, as DVC reads them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from dvc.repo import Repo
from tiny_world import tiny_graph
from workspace import Workspace

from imf_core.report.comparison import NotCompared
from stages.committed import read_committed_metrics

GRAPH = tiny_graph()

LOCKED = ["results/model/config.json", "results/evaluation/metrics.json"]

# DVC's own libraries warn of their deprecations.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The working folder is a repository of git and DVC without a commit."""
    monkeypatch.chdir(tmp_path)
    made = Workspace(tmp_path)
    made.run("git", "init", "-q")
    Repo.init().close()
    return made


def test_there_are_none_outside_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_committed_metrics(GRAPH) is NotCompared.NO_RUN


def test_those_of_head_are_read_and_not_those_of_the_workspace(
    tmp_path: Path, workspace: Workspace
) -> None:
    workspace.run("git", "commit", "-qm", "no run yet", "--allow-empty")
    assert read_committed_metrics(GRAPH) is NotCompared.NO_RUN
    path = tmp_path / "results/evaluation/metrics.json"
    path.parent.mkdir(parents=True)
    metrics = {"test": {"mrr": 0.25}, "test_digest": GRAPH.test_digest}
    path.write_text(json.dumps(metrics))
    config = tmp_path / "results/model/config.json"
    config.parent.mkdir()
    of_graph = {"graph_fingerprint": GRAPH.fingerprint, "facts_digest": GRAPH.facts_digest}
    config.write_text(json.dumps(of_graph))
    workspace.run("git", "add", "-A")
    workspace.run("git", "commit", "-qm", "a run")
    path.write_text(json.dumps({**metrics, "test": {"mrr": 0.5}}))
    assert read_committed_metrics(GRAPH) == metrics
    cleaned = replace(GRAPH, triples={**GRAPH.triples, "test": GRAPH.triples["test"][1:]})
    assert read_committed_metrics(cleaned) is NotCompared.OTHER_FACTS
    config.write_text(json.dumps({**of_graph, "facts_digest": "of others"}))
    workspace.run("git", "commit", "-qam", "a run of other facts")
    assert read_committed_metrics(GRAPH) is NotCompared.OTHER_FACTS
    config.write_text(json.dumps(of_graph))
    path.write_text(json.dumps({"test": {"mrr": 0.25}}))
    workspace.run("git", "commit", "-qam", "an early run, which does not say of what test it is")
    assert read_committed_metrics(GRAPH) is NotCompared.OTHER_FACTS


def test_a_run_whose_metrics_are_in_no_cache_is_told_from_no_run(
    tmp_path: Path, workspace: Workspace
) -> None:
    outs = [{"path": path, "md5": "0" * 32, "size": 2} for path in LOCKED]
    stage = {"cmd": "true", "outs": outs}
    (tmp_path / "dvc.yaml").write_text(json.dumps({"stages": {"all": {**stage, "outs": LOCKED}}}))
    (tmp_path / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": {"all": stage}}))
    workspace.run("git", "add", "-A")
    workspace.run("git", "commit", "-qm", "a run")
    assert read_committed_metrics(GRAPH) is NotCompared.NOT_CACHED
