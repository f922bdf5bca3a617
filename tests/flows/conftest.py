"""A Prefect server for all flow tests, and workspaces that flows may change."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.testing.utilities import prefect_test_harness
from running_ui import RunningUI
from workspace import Workspace, make_workspace


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A real server with its own database."""
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="session")
def ui(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUI]:
    """`imf ui` in a copy of the finished workspace, shared; tests must not change it."""
    folder = tmp_path_factory.mktemp("ui") / "project"
    shutil.copytree(finished.folder, folder, symlinks=True)
    running = RunningUI(Workspace(folder))
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
def copied(finished: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The working folder is a copy of the finished workspace, git and DVC's cache included."""
    folder = tmp_path / "project"
    shutil.copytree(finished.folder, folder, symlinks=True)
    return _enter(Workspace(folder), monkeypatch)


def _enter(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Makes it the working folder of this process, with its environment."""
    monkeypatch.chdir(workspace.folder)
    for name, value in workspace.environment.items():
        monkeypatch.setenv(name, value)
    return workspace
