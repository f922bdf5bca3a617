"""The state after a run is cancelled or its processes are killed, under `imf ui`."""

import hashlib
import signal
from uuid import UUID

import pytest
from running_ui import RunningUI, wait_until

# Prefect and the libraries below it warn of their own deprecations.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

FAILING_BY_NETWORK = """
stages:
  download:
    cmd: >-
      echo '{"stage": "download", "kind": "NetworkError", "message": "no answer",
      "is_temporary": true}' > $IMF_ERROR_FILE; exit 75
    outs: [nowhere]
"""


def start_training(ui: RunningUI) -> UUID:
    """Runs the pipeline until the stage `train` has started."""
    run = ui.trigger("pipeline")
    ui.wait_for_task(run, "train", "Running")
    wait_until(lambda: ui.has_process("stages.train"))
    return run


def switch_schedule(ui: RunningUI, *, is_active: bool) -> None:
    """Switches the schedule of `refresh`, like the switch in the UI."""
    refresh = ui.deployment("refresh")
    (schedule,) = refresh.schedules
    ui.client.update_deployment_schedule(refresh.id, schedule.id, active=is_active)


def model_hash(ui: RunningUI) -> str:
    return hashlib.md5(
        (ui.workspace.folder / "results/model/model.safetensors").read_bytes()
    ).hexdigest()


def test_cancelling_a_run_ends_its_processes_and_restores_the_outs(
    long_training: RunningUI,
) -> None:
    ui = long_training
    before = model_hash(ui)
    run = start_training(ui)
    ui.cancel(run)
    assert ui.final_state(run).name == "Cancelled"
    assert ui.task_states(run)["train"].name == "Cancelled"
    assert ui.stage_processes() == []
    assert model_hash(ui) == before


def test_a_killed_run_is_crashed_and_leaves_no_process_and_no_half_written_out(
    long_training: RunningUI,
) -> None:
    ui = long_training
    before = model_hash(ui)
    run = start_training(ui)
    ui.flow_run_process().kill()
    assert ui.final_state(run).name == "Crashed"
    wait_until(lambda: not ui.stage_processes())
    assert model_hash(ui) == before


def test_a_stage_that_waits_for_its_next_try_can_be_cancelled(ui: RunningUI) -> None:
    description = ui.workspace.folder / "dvc.yaml"
    before = description.read_text()
    description.write_text(FAILING_BY_NETWORK)
    try:
        run = ui.trigger("pipeline")
        ui.wait_for_task(run, "download", "Retrying")
        ui.cancel(run)
        assert ui.final_state(run).name == "Cancelled"
        assert ui.task_states(run)["download"].name == "Cancelled"
    finally:
        description.write_text(before)


def test_what_a_killed_make_ui_leaves_behind_ends_and_is_told_at_the_next_start(
    long_training: RunningUI,
) -> None:
    ui = long_training
    run = start_training(ui)
    switch_schedule(ui, is_active=True)
    try:
        ui.end(signal.SIGKILL)
        wait_until(lambda: not ui.processes())
        ui.start()
        state = ui.state(run)
        assert state.name == "Crashed"
        assert "`imf ui` ended while this was under way" in str(state.message)
        assert ui.task_states(run)["train"].name == "Crashed"
        assert [schedule.active for schedule in ui.deployment("refresh").schedules] == [True]
    finally:
        switch_schedule(ui, is_active=False)
