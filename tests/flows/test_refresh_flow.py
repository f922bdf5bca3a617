"""The flow `refresh` with the real DVC and a real server; the web is one on the loopback."""

import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from local_server import Answer, LocalServer
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import State
from workspace import Workspace, make_workspace

from flows.refresh import refresh
from flows.running import stage
from flows.running.stage import read_dag, read_hashes
from imf_core.base.artifacts import read_parquet

# Prefect's server and the libraries below it warn of their own deprecations.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("prefect_server"),
]

GRAPH = Path("examples/solar-system")
MISSING = "io.png"
GATHERED = {"download", "prepare", "media", "images"}
LEARNED = {"image_features", "tune", "train", "evaluate", "predict", "report"}
GONE: Answer = (404, {}, b"")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A port for the web server of a test."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def pictures(folder: Path, **others: Answer) -> dict[str, list[Answer]]:
    """Answers of the web: the pictures of the example graph, with given replacements."""
    paths = (folder / GRAPH / "images").iterdir()
    answers = {path.name: (200, {}, path.read_bytes()) for path in paths}
    return {f"/{name}": [answer] for name, answer in {**answers, **others}.items()}


@pytest.fixture(scope="module")
def first_run(port: int, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace after a run on a graph with pictures on the web, one of them missing."""
    workspace = make_workspace(tmp_path_factory.mktemp("project"))
    index = workspace.folder / GRAPH / "image_index.tsv"
    index.write_text(index.read_text().replace("images/", f"http://127.0.0.1:{port}/"))
    workspace.set_params(
        {
            "fetch": {"attempts": 1, "allowed_private_hosts": ["127.0.0.1"]},
            "train": {"epochs": 2, "validate_every": 1},
        }
    )
    answers = pictures(workspace.folder, **{MISSING: GONE})
    with LocalServer({**answers}, port=port):
        workspace.dvc("repro")
    return workspace


@pytest.fixture
def workspace(first_run: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The working folder is a copy of it, with old web requests."""
    folder = tmp_path / "project"
    shutil.copytree(first_run.folder, folder, symlinks=True)
    monkeypatch.chdir(folder)
    for name, value in first_run.environment.items():
        monkeypatch.setenv(name, value)
    with closing(sqlite3.connect(".imf/web/index.sqlite", isolation_level=None)) as index:
        index.execute("UPDATE outcomes SET asked_at = '2020-01-01T00:00:00Z'")
    return Workspace(folder)


@pytest.fixture
def _without_learning(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the stages after the data, for speed."""
    first = [stage for stage in read_dag(workspace.folder, print) if stage.name in GATHERED]
    monkeypatch.setattr("flows.refresh.read_dag", lambda *_: first)


def outcomes(state: State) -> dict[str, str]:
    """Returns the name of each stage's final state."""
    run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id(state)]))
    with get_client(sync_client=True) as client:
        tasks = client.read_task_runs(flow_run_filter=run)
    return {task.name: task.state.name for task in tasks if task.state}


def report(state: State) -> str:
    """Returns the page of the run."""
    run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id(state)]))
    key = ArtifactFilter(key=ArtifactFilterKey(any_=["refresh"]))
    with get_client(sync_client=True) as client:
        (artifact,) = client.read_artifacts(artifact_filter=key, flow_run_filter=run)
    print(artifact.data)
    return str(artifact.data)


def run_id(state: State) -> UUID:
    return UUID(str(state.state_details.flow_run_id))


def statuses() -> list[str]:
    return read_parquet(Path("data/images/sources.parquet"))["status"].to_pylist()


def test_an_image_that_failed_is_fetched_and_the_model_follows(
    workspace: Workspace, port: int
) -> None:
    assert statuses().count("not_found") == 1
    with LocalServer({**pictures(workspace.folder)}, port=port) as server:
        state = refresh(return_state=True)
    assert server.asked == {f"/{MISSING}": 1}
    assert statuses().count("not_found") == 0
    ran = {stage for stage, outcome in outcomes(state).items() if outcome == "Completed"}
    assert ran == {"download", "images", *LEARNED}
    told = report(state)
    assert "| images | 1 | 0 | 0 |" in told
    assert "Images that came:\n\n- Io\n" in told
    assert "| **full model** | " in told


def test_a_web_that_did_not_change_is_asked_and_nothing_follows(
    workspace: Workspace, port: int
) -> None:
    answers = pictures(workspace.folder, **{MISSING: GONE})
    with LocalServer({**answers}, port=port) as server:
        state = refresh(stale_after_days=30, return_state=True)
    assert server.asked == dict.fromkeys(answers, 1)
    found = outcomes(state)
    assert {stage for stage, name in found.items() if name == "Completed"} == {"download", "images"}
    assert set(found.values()) == {"Completed", "Cached"}
    told = report(state)
    assert "Nothing changed in the graph, nor in the texts and images of its entities." in told
    assert "Nothing changed in the metrics." in told
    assert "without success" not in told


@pytest.mark.usefixtures("_without_learning")
def test_a_network_that_is_down_takes_nothing(workspace: Workspace) -> None:
    before = read_hashes("images", print)
    state = refresh(stale_after_days=30, return_state=True)
    assert state.is_completed()
    assert read_hashes("images", print) == before
    told = report(state)
    assert r"images\: 8 files or answers were requested again without success" in told
    assert r"(no connection\: 8)" in told


@pytest.mark.usefixtures("_without_learning")
def test_a_forced_stage_that_fails_leaves_the_outs_of_its_last_good_run(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "run_stage", stage.run_stage.with_options(retries=0))
    shutil.rmtree(".imf/web")  # so that nothing is known from before
    (workspace.folder / ".imf/web").mkdir()
    before = statuses()
    state = refresh(return_state=True)
    assert state.is_failed()
    assert "images: no host on the web answers, not one of 8 files" in str(state.message)
    assert statuses() == before
    assert "the run failed before its end" in report(state)


@pytest.mark.usefixtures("_without_learning")
def test_facts_that_a_changed_folder_brings_and_takes_are_told(
    workspace: Workspace, port: int
) -> None:
    facts = workspace.folder / GRAPH / "train.txt"
    lines = facts.read_text().splitlines(keepends=True)
    head, relation, _ = lines[0].split("\t")
    facts.write_text("".join([*lines[1:], f"{head}\t{relation}\tplanet|nine\n"]))
    answers = pictures(workspace.folder)
    with LocalServer({**answers}, port=port):
        state = refresh(return_state=True)
    told = report(state)
    assert "| facts | 1 | 1 |  |" in told
    assert "Entities that came:\n\n- planet\\|nine" in told
