"""One written run for all tests of the report, which must not change it."""

import pytest
from made_run import compose, write_run

from imf_core.report.compose import RunFiles
from imf_core.report.page import Page


@pytest.fixture(scope="session")
def run_files(tmp_path_factory: pytest.TempPathFactory) -> RunFiles:
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def page(run_files: RunFiles) -> Page:
    return compose(run_files)
