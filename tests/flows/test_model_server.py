"""The page of the workspace's model in `imf ui`: started with a model, again with another one."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.server import model_server
from flows.server.model_server import FILES, ModelServer

RUNS = [sys.executable, "-c", "import time; time.sleep(60)"]
FAILS = [sys.executable, "-c", "raise SystemExit(1)"]


def write_model(content: str) -> None:
    for path in FILES:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    server = ModelServer(RUNS)
    yield server
    if server.process is not None:
        server.process.kill()
        server.process.wait()


def test_it_waits_for_a_model_and_serves_it_once(server: ModelServer) -> None:
    server.check()
    assert server.process is None
    write_model("first")
    server.check()
    first = server.process
    assert first is not None
    server.check()
    assert server.process is first


def test_another_model_is_served_in_place_of_the_first(server: ModelServer) -> None:
    write_model("first")
    server.check()
    first = server.process
    assert first is not None
    write_model("another")
    server.check()
    assert server.process is not first
    assert first.poll() is not None


def test_the_model_is_served_while_a_run_replaces_it(server: ModelServer) -> None:
    write_model("first")
    server.check()
    FILES[0].unlink()
    server.check()
    assert server.process is not None
    assert server.process.poll() is None


def test_a_model_that_could_not_be_read_is_tried_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_model("first")
    server = ModelServer(FAILS)
    server.check()
    first = server.process
    assert first is not None
    first.wait()
    server.check()
    assert server.process is first
    monkeypatch.setattr(model_server, "RETRY_SECONDS", 0.0)
    server.check()
    assert server.process is not first
    assert server.process is not None
    server.process.wait()
