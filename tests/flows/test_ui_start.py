"""`imf ui`: registered deployments, refused ports and folders, and the order of runs."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient
from running_ui import RunningUI, wait_until
from workspace import ROOT

from flows import register
from flows.errors import FlowError
from flows.register import read_schedules
from flows.ui import HOST, _is_alive, check_port

slow = pytest.mark.slow

# Prefect and the libraries below it warn of their own deprecations.
pytestmark = pytest.mark.filterwarnings("default")


@slow
def test_the_form_of_an_experiment_begins_with_the_values_of_params_yaml(ui: RunningUI) -> None:
    params = yaml.safe_load((ui.workspace.folder / "params.yaml").read_text())
    assert ui.deployment("experiment").parameters == {"name": None, "recipe": None, **params}


@slow
def test_two_runs_of_the_workspace_triggered_at_once_follow_one_another(ui: RunningUI) -> None:
    runs = [ui.trigger("pipeline"), ui.trigger("pipeline")]
    assert [ui.final_state(run).name for run in runs] == ["Completed", "Completed"]
    assert {state.name for run in runs for state in ui.task_states(run).values()} == {"Cached"}
    first, second = sorted(map(ui.client.read_flow_run, runs), key=lambda run: run.start_time)
    assert second.start_time >= first.end_time


@slow
def test_a_second_ui_in_the_folder_is_refused(ui: RunningUI) -> None:
    second = ui.workspace.run(sys.executable, "-m", "cli", "ui", check=False)
    assert second.returncode == 1
    assert "`imf ui` runs in this folder already, as process" in second.stderr


@slow
def test_schedules_are_read_in_the_form_of_prefect_yaml(ui: RunningUI) -> None:
    described = yaml.safe_load((ui.workspace.folder / "prefect.yaml").read_text())["deployments"]
    (schedule,) = next(each for each in described if each["name"] == "refresh")["schedules"]
    registered = read_schedules(ui.client, "refresh")
    assert registered is not None
    (read,) = registered
    assert read == {**schedule, "day_or": True, "parameters": {}}


@slow
def test_a_schedule_that_is_switched_on_plans_runs(ui: RunningUI) -> None:
    refresh = ui.deployment("refresh")
    (schedule,) = refresh.schedules
    ui.client.update_deployment_schedule(refresh.id, schedule.id, active=True)
    try:
        # An error in the server's log may pass: a busy database is asked again.
        wait_until(lambda: ui.planned_runs("refresh"))
    finally:
        ui.client.update_deployment_schedule(refresh.id, schedule.id, active=False)


def test_registered_schedules_replace_the_described_ones_and_new_deployments_keep_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, new, kept = {"slug": "old"}, {"slug": "new"}, {"slug": "kept"}
    deployments = [{"name": "known", "schedules": [old]}, {"name": "added", "schedules": [new]}]
    registered = {"known": [kept]}
    monkeypatch.setattr(register, "read_schedules", lambda _, name: registered.get(name))
    register.keep_schedules(SyncPrefectClient("http://unused/api"), deployments)
    assert [deployment["schedules"] for deployment in deployments] == [[kept], [new]]


@slow
def test_a_deployment_of_another_flow_with_the_same_name_is_none_of_ours(ui: RunningUI) -> None:
    flow = ui.client.create_flow_from_name("theirs")
    theirs = ui.client.create_deployment(flow, "ours")
    try:
        assert read_schedules(ui.client, "ours") is None
    finally:
        ui.client.delete_deployment(theirs)


def test_a_taken_port_is_named_with_a_remedy() -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(FlowError, match=f"port {port} .* imf ui --port {port + 1}"):
            check_port(port)


def test_the_process_of_another_user_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(process: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert _is_alive(1)


def test_a_server_that_the_environment_names_is_not_used_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {"API_URL": "https://theirs/api", "API_KEY": "theirs"}.items():
        monkeypatch.setenv(f"PREFECT_{name}", value)
    code = "import os, flows.ui as ui; ui.set_environment(4300, 4301, 4302); print(os.environ)"
    told = subprocess.check_output([sys.executable, "-c", code], text=True)
    said, environment = told.split("\n", maxsplit=1)
    assert said.startswith("PREFECT_API_URL=https://theirs/api is not used")
    assert "theirs" not in environment
    assert re.search("'PREFECT_API_URL': 'http://127.0.0.1:4300/api'", environment)


def test_a_fault_in_params_yaml_is_told_before_anything_starts(tmp_path: Path) -> None:
    params = (ROOT / "params.yaml").read_text().replace("rank: 3 ", "rank: zero ")
    (tmp_path / "params.yaml").write_text(params)
    (tmp_path / "dvc.yaml").touch()
    started = subprocess.run(
        [sys.executable, "-m", "cli", "ui"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert started.stderr == "error: params.yaml: fusion.rank must be an integer, got 'zero'\n"
    assert started.returncode == 1
    assert not (tmp_path / ".imf").exists()
