"""Written runs for all tests of the report, which must not change them."""

import pytest
from made_run import compose, model_with_paths, write_run
from tiny_world import tiny_model

from imf_core.report.compose import RunFiles
from imf_core.report.page import Page


@pytest.fixture(scope="session")
def run_files(tmp_path_factory: pytest.TempPathFactory) -> RunFiles:
    return write_run(tmp_path_factory.mktemp("run"), tiny_model())


@pytest.fixture(scope="session")
def page(run_files: RunFiles) -> Page:
    return compose(run_files)


@pytest.fixture(scope="session")
def page_with_paths(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of a run with a channel of paths."""
    model = model_with_paths()
    return compose(write_run(tmp_path_factory.mktemp("with_paths"), model), model=model)
