"""The pipeline flow with a real server, and with the real DVC or a stand-in for it."""

import json
import sys
from dataclasses import replace
from uuid import UUID

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import State
from workspace import Workspace

from flows.pipeline import pipeline
from flows.running.stage import read_dag

# Prefect's server and the libraries below it warn of their own deprecations.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("prefect_server"),
]


STAND_IN = """
import json, os, sys
*options, stage = sys.argv[1:]
if stage == os.environ.get("FAILING"):
    print(f"Running stage '{stage}':")
    record = {"stage": stage, "kind": "E", "message": "no such model", "is_temporary": False}
    with open(os.environ["IMF_ERROR_FILE"], "w") as file:
        json.dump(record, file)
    print("error: no such model")
    print(f"ERROR: failed to reproduce '{stage}': failed to run: x, exited with 1")
    sys.exit(255)
if "--force" in options:
    print(f"Running stage '{stage}':")
else:
    print(f"Stage '{stage}' didn't change, skipping")
"""
"""Prints the lines of DVC, for a finished workspace."""


@pytest.fixture
def stand_in_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.running.command.DVC", [sys.executable, "-c", STAND_IN])


def task_states(state: State) -> dict[str, State]:
    """Returns the final state of each stage of a flow run."""
    run = UUID(str(state.state_details.flow_run_id))
    with get_client(sync_client=True) as client:
        tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run])))
    return {task.name: task.state for task in tasks if task.state is not None}


def test_stages_that_a_parameter_changes_run_and_are_restored_when_it_comes_back(
    copied: Workspace,
) -> None:
    copied.set_params({"fusion": {"rank": 4}})
    state = pipeline(return_state=True)
    changed = task_states(state)
    assert artifacts(state)["progress-train"] == "100"
    assert set(changed) == {stage.name for stage in read_dag(copied.folder, print)}
    copied.set_params({"fusion": {"rank": 3}})
    back = task_states(pipeline(return_state=True))
    for name, state in changed.items():
        learned = name in {"train", "evaluate", "predict", "report"}
        assert state.name == ("Completed" if learned else "Cached")
        assert back[name].name == ("Restored" if learned else "Cached")


def artifacts(state: State) -> dict[str, str]:
    """Returns the text of each artifact of a flow run."""
    run = UUID(str(state.state_details.flow_run_id))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
        )
    return {str(artifact.key): str(artifact.data) for artifact in found}


@pytest.mark.usefixtures("stand_in_dvc")
def test_the_page_of_a_run_shows_metrics_with_their_change_predictions_and_the_audit(
    copied: Workspace,
) -> None:
    metrics = copied.folder / "results/evaluation/metrics.json"
    mrr = 100 * json.loads(metrics.read_text())["test"]["mrr"]
    shown = artifacts(pipeline(return_state=True))
    assert f"| **full model** | {mrr:.1f} |" in shown["metrics"]
    assert "Nothing has changed since the run before." in shown["metrics"]
    assert "137 entities, 9 relations" in shown["audit"]
    assert "| Fact | Probability |" in shown["predictions"]


@pytest.mark.usefixtures("stand_in_dvc")
def test_the_message_of_a_stage_is_its_outs_hashes(copied: Workspace) -> None:
    states = task_states(pipeline(return_state=True))
    lock = yaml.safe_load((copied.folder / "dvc.lock").read_text())
    (out,) = lock["stages"]["predict"]["outs"]
    assert states["predict"].message == f"results/predictions.parquet {out['md5'][:8]}"


def test_a_failing_stage_fails_the_flow_with_its_own_message(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (train,) = [stage for stage in read_dag(copied.folder, print) if stage.name == "train"]
    monkeypatch.setattr("flows.pipeline.read_dag", lambda *_: [replace(train, needs=())])
    copied.set_params({"fusion": {"rank": -1}})
    state = pipeline(return_state=True)
    assert state.is_failed()
    assert "params.yaml: fusion.rank must be greater than or equal to 0, got -1" in str(
        state.message
    )


@pytest.mark.usefixtures("stand_in_dvc")
def test_what_a_failed_stage_does_not_need_still_ends(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied.set_params({"image_features": {"dim": 7}})
    monkeypatch.setenv("FAILING", "image_features")
    states = task_states(pipeline(return_state=True))
    assert states["text_features"].name == "Cached"
    assert states["image_features"].is_failed()
    assert states["image_features"].message.endswith("image_features: no such model")
    assert not states["train"].is_final()


@pytest.mark.usefixtures("copied", "stand_in_dvc")
def test_a_stage_can_be_forced() -> None:
    states = task_states(pipeline(force=["predict"], return_state=True))
    assert states.pop("predict").name == "Completed"
    assert {state.name for state in states.values()} == {"Cached"}


def test_a_forced_stage_that_does_not_exist_is_refused_with_those_that_do(
    copied: Workspace,
) -> None:
    state = pipeline(force=["trian"], return_state=True)  # type: ignore[arg-type]
    assert state.is_failed()
    assert "Input should be 'download', 'prepare'" in str(state.message)
    assert task_states(state) == {}


@pytest.mark.usefixtures("stand_in_dvc")
def test_a_run_is_named_and_ends_with_its_result(copied: Workspace) -> None:
    state = pipeline(return_state=True)
    metrics = json.loads((copied.folder / "results/evaluation/metrics.json").read_text())
    assert state.message == f"solar-system: test MRR {100 * metrics['test']['mrr']:.1f} (+0.0)"
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(str(state.state_details.flow_run_id)))
    assert run.name.startswith("pipeline solar-system ")
