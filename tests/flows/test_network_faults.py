"""A stage that the network failed, with the real DVC and a real server, on the loopback."""

import socket
from collections.abc import Iterator

import pytest
import yaml
from local_server import LocalServer
from prefect.client.schemas.objects import State
from workspace import ROOT, Workspace

from flows.pipeline import pipeline
from flows.running import stage
from flows.running.stage import read_dag
from imf_core.base.artifacts import file_sha256

# Prefect's server and the libraries below it warn of their own deprecations.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("prefect_server"),
]

FACTS = ROOT / "examples/solar-system/train.txt"


@pytest.fixture
def unused() -> Iterator[int]:
    """A port at which nobody listens, and which nobody else gets."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def download_from(workspace: Workspace, url: str) -> None:
    """Makes the graph a registered one whose file is at `url`."""
    lines = [line.split("\t") for line in FACTS.read_text().splitlines()]
    entry = {
        "kind": "download",
        "title": "A graph near by",
        "licence": "none",
        "citation": "none",
        "format": "labels",
        "counts": {
            "entities": len({line[side] for line in lines for side in (0, 2)}),
            "relations": len({line[1] for line in lines}),
            "train": len(lines),
            "valid": 0,
            "test": 0,
        },
        "files": [{"save_as": "train.txt", "url": url, "sha256": file_sha256(FACTS)}],
    }
    registry = workspace.folder / "imf_core/sources/registry.yaml"
    registry.write_text(yaml.safe_dump({"datasets": {"nearby": entry}}))
    workspace.set_params(
        {
            "dataset": {"name": "nearby"},
            "fetch": {"attempts": 1, "allowed_private_hosts": ["127.0.0.1"]},
        }
    )


def test_a_stage_is_tried_again_once_its_host_is_back(
    fresh: Workspace, unused: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[str] = []
    server = LocalServer({"/facts": [(200, {}, FACTS.read_bytes())]}, port=unused)
    condition = stage.run_stage.retry_condition_fn

    def bring_up(task: object, run: object, state: State) -> bool:
        faults.append(str(state.message))
        server.__enter__()
        return condition(task, run, state)

    watched = stage.run_stage.with_options(retry_condition_fn=bring_up)
    monkeypatch.setattr(stage, "run_stage", watched)
    monkeypatch.setattr("flows.running.stage.RETRY_DELAYS_SECONDS", [0.0])
    # What follows has nothing to do with it.
    first = [stage for stage in read_dag(fresh.folder, print) if stage.name == "download"]
    monkeypatch.setattr("flows.pipeline.read_dag", lambda *_: first)
    monkeypatch.setattr("flows.pipeline.show_results", lambda *_: "shown")
    download_from(fresh, f"http://127.0.0.1:{unused}/facts")
    try:
        state = pipeline(return_state=True)
    finally:
        server.__exit__(None, None, None)
    assert state.is_completed()
    assert len(faults) == 1
    assert "facts could not be fetched (no connection); try again later" in faults[0]
    assert server.asked == {"/facts": 1}
