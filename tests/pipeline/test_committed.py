"""The metrics of the last committed run, as DVC reads them."""

import json
from pathlib import Path

import pytest
from tiny_world import tiny_graph
from workspace import Workspace

from stages.committed import read_committed_metrics

# DVC's own libraries warn of their deprecations.
GRAPH = tiny_graph()

pytestmark = pytest.mark.filterwarnings("default")


def test_there_are_none_outside_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_committed_metrics(GRAPH) is None


def test_those_of_head_are_read_and_not_those_of_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    workspace = Workspace(tmp_path)
    workspace.run("git", "init", "-q")
    workspace.dvc("init", "-q")
    workspace.run("git", "commit", "-qm", "no run yet", "--allow-empty")
    assert read_committed_metrics(GRAPH) is None
    path = tmp_path / "results/evaluation/metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"test": {"mrr": 0.25}}))
    config = tmp_path / "results/model/config.json"
    config.parent.mkdir()
    of_graph = {"graph_fingerprint": GRAPH.fingerprint, "facts_digest": GRAPH.facts_digest}
    config.write_text(json.dumps(of_graph))
    workspace.run("git", "add", "-A")
    workspace.run("git", "commit", "-qm", "a run")
    path.write_text(json.dumps({"test": {"mrr": 0.5}}))
    assert read_committed_metrics(GRAPH) == {"test": {"mrr": 0.25}}
    config.write_text(json.dumps({**of_graph, "facts_digest": "of others"}))
    workspace.run("git", "commit", "-qam", "a run of other facts")
    assert read_committed_metrics(GRAPH) is None
