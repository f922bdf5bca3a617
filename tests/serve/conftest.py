"""The application over the tiny graph, for all tests of this folder, which must not change it."""

import pytest
from fastapi.testclient import TestClient
from served_world import make_client


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    return make_client(tmp_path_factory.mktemp("served"))
