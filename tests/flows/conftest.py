"""A Prefect server for all flow tests, and workspaces that flows may change."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.testing.utilities import prefect_test_harness
from running_ui import RunningUI
from workspace import Workspace, built_once, make_workspace


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A real server with its own database."""
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="session")
def ui(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUI]:
    """`imf ui` in a copy of the finished workspace, shared; tests must not change it."""
    running = RunningUI(finished.copy_to(tmp_path_factory.mktemp("ui") / "project"))
    yield running
    running.close()


@pytest.fixture
def long_training(ui: RunningUI) -> Iterator[RunningUI]:
    """The same, in which the stage `train` takes longer than any test."""
    params = ui.workspace.folder / "params.yaml"
    before, starts = params.read_bytes(), ui.starts
    ui.workspace.set_params({"train": {"epochs": 1_000_000, "patience": 1_000_000}})
    yield ui
    params.write_bytes(before)
    if ui.starts > starts:  # the long training stands in the form of an experiment
        ui.register()


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The working folder is a workspace in which nothing has run."""
    folder = tmp_path / "project"
    folder.mkdir()
    return _enter(make_workspace(folder), monkeypatch)


@pytest.fixture
def copied(copied: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The working folder is a copy of the finished workspace, git and DVC's cache included."""
    return _enter(copied, monkeypatch)


@pytest.fixture(scope="session")
def finished_replay(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The finished workspace with learning stages that copy its outs; must not be changed."""

    def build(folder: Path) -> None:
        workspace = finished.copy_to(folder)
        workspace.replay(finished, "tune", "train", "evaluate", "predict", "baseline", "report")
        workspace.dvc("repro")
        workspace.run("git", "commit", "-qam", "first run")

    return Workspace(built_once(tmp_path_factory, "replay", build))


@pytest.fixture
def replayed(
    finished_replay: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    """The working folder is a copy of it: DVC and the data stages are real, learning is instant."""
    return _enter(finished_replay.copy_to(tmp_path / "project"), monkeypatch)


def _enter(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Makes it the working folder of this process, with its environment."""
    monkeypatch.chdir(workspace.folder)
    for name, value in workspace.environment.items():
        monkeypatch.setenv(name, value)
    return workspace
