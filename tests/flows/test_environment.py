"""The pinned Prefect can run a flow at all."""

import pytest
from prefect import flow
from prefect.testing.utilities import prefect_test_harness

# Prefect's server and the libraries below it warn of their own deprecations.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


def test_a_flow_runs_against_a_real_server() -> None:
    # With a later fastapi than the lock's, importing works and every run fails.
    @flow
    def add(a: int, b: int) -> int:
        return a + b

    with prefect_test_harness(server_startup_timeout=120):
        assert add(1, 2) == 3
