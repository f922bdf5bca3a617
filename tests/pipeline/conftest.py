"""A copy of the project that has run once on a tiny graph."""

import pytest
from workspace import Workspace, make_workspace


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which `dvc repro` has run once; tests leave it as it was."""
    workspace = make_workspace(tmp_path_factory.mktemp("project"))
    workspace.dvc("repro")
    workspace.run("git", "add", "-A")
    workspace.run("git", "commit", "-qm", "first run")
    return workspace
