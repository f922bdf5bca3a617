"""The UI at `/` in a real browser: forms, runs, results."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from chromium import CHROMIUM, QUIET
from playwright.sync_api import Page, expect, sync_playwright
from prefect.states import Scheduled
from running_ui import RunningUI

LONG_MILLISECONDS = 60_000
DESKTOP, PHONE = (1400, 1000), (390, 844)
SPACE = [
    {"key": "fusion.rank", "values": [2, 64]},
    {"key": "model.encoder_dim", "values": ["auto", None]},
    {"key": "train.n3", "low": 0.01, "high": 0.3, "log": True, "step": None},
]

# Prefect and the libraries below it warn of their own deprecations.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome is installed"),
]


@pytest.fixture
def size() -> tuple[int, int]:
    """Of the window."""
    return DESKTOP


@pytest.fixture
def page(ui: RunningUI, size: tuple[int, int]) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        viewport = {"width": size[0], "height": size[1]}
        page = browser.new_page(viewport=viewport, base_url=ui.url)  # type: ignore[arg-type]
        page.set_default_timeout(LONG_MILLISECONDS)
        expect.set_options(timeout=LONG_MILLISECONDS)
        yield page
        browser.close()


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """The folder for screenshots, IMF_SCREENSHOTS, if set."""
    folder = Path(os.environ.get("IMF_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def open_form(page: Page, ui: RunningUI, flow: str) -> None:
    """Opens the form of a flow in the UI."""
    page.goto("/")
    page.wait_for_url("**/v2/**")
    page.goto(f"/v2/deployments/deployment/{ui.deployment(flow).id}/run")


def submit(page: Page) -> None:
    """Submits the form, which must be accepted, and opens the run's page."""
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("button", name="View run").click()
    page.wait_for_url("**/runs/flow-run/*")


def run_of(page: Page) -> UUID:
    return UUID(urlsplit(page.url).path.rpartition("/")[2])


def wait_for_end(ui: RunningUI, page: Page) -> None:
    ui.final_state(run_of(page))
    page.reload()
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible()


def open_artifact(page: Page, key: str) -> None:
    """Opens the artifacts of a run."""
    page.get_by_role("tab", name="Artifacts").click()
    page.locator(f"a[href$='/artifacts/key/{key}']").first.click()


def open_report(page: Page) -> str:
    """Follows the link to the report, and returns its title."""
    address = page.locator("a[href$='/report.html']").first.get_attribute("href")
    assert address
    page.goto(address)
    return page.title()


def choose(page: Page, item: str) -> None:
    """Chooses from the menu of a run's page."""
    page.get_by_role("button", name="Open menu").click()
    page.get_by_role("menuitem", name=item, exact=True).click()


def test_an_experiment_is_entered_watched_and_its_result_is_read(
    ui: RunningUI, page: Page, shots: Path
) -> None:
    open_form(page, ui, "experiment")
    rank = page.get_by_label("rank (Optional)")
    expect(rank).to_have_value("3")
    rank.fill("64")
    page.screenshot(path=shots / "form.png")
    submit(page)
    run = run_of(page)
    assert ui.client.read_flow_run(run).parameters["fusion"]["rank"] == 64
    wait_for_end(ui, page)
    expect(page.get_by_text("fusion-rank-64").first).to_be_visible()
    page.screenshot(path=shots / "run.png")
    assert str(ui.state(run).message).startswith("fusion-rank-64: test MRR ")
    open_artifact(page, "experiment")
    page.locator("a[href*='/artifacts/artifact/']").first.click()
    expect(page.get_by_role("cell", name="fusion.rank").first).to_be_visible()
    page.screenshot(path=shots / "artifact.png")
    assert "solar-system" in open_report(page)
    page.screenshot(path=shots / "report.png")


@pytest.mark.parametrize("size", [PHONE])
def test_an_experiment_is_entered_on_a_phone_and_cancelled_there(
    ui: RunningUI, page: Page, shots: Path
) -> None:
    open_form(page, ui, "experiment")
    page.get_by_label("rank (Optional)").fill("65")
    page.screenshot(path=shots / "phone.png")
    submit(page)
    run = run_of(page)
    assert ui.client.read_flow_run(run).parameters["fusion"]["rank"] == 65
    ui.wait_for_task(run, "fusion-rank-65", "Running")
    page.reload()
    choose(page, "Cancel")
    page.get_by_role("alertdialog").or_(page.get_by_role("dialog")).get_by_role("button").filter(
        has_text="Cancel"
    ).last.click()
    assert ui.final_state(run).name == "Cancelled"
    assert ui.stage_processes() == []


def test_a_run_of_the_pipeline_with_a_forced_stage_leads_to_its_report(
    ui: RunningUI, page: Page, shots: Path
) -> None:
    open_form(page, ui, "pipeline")
    page.get_by_label("Select force").click()
    page.get_by_role("option", name="predict", exact=True).click()
    page.keyboard.press("Escape")
    submit(page)
    run = run_of(page)
    wait_for_end(ui, page)
    assert str(ui.state(run).message).startswith("solar-system: test MRR ")
    assert ui.client.read_flow_run(run).name.startswith("pipeline solar-system ")
    states = {stage: state.name for stage, state in ui.task_states(run).items()}
    assert states.pop("predict") == "Completed"
    assert set(states.values()) == {"Cached"}
    page.screenshot(path=shots / "pipeline.png")
    open_artifact(page, "report")
    assert "solar-system" in open_report(page)


def test_a_sweep_is_copied_with_its_values(ui: RunningUI, page: Page, shots: Path) -> None:
    values: dict[str, Any] = {"name": "copied", "space": SPACE, "sampler": "random", "trials": 1}
    later = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(days=1))
    planned = ui.client.create_flow_run_from_deployment(
        ui.deployment("sweep").id, parameters=values, state=later
    )
    try:
        page.goto(f"/v2/runs/flow-run/{planned.id}")
        choose(page, "Copy to new run")
        expect(page.get_by_label("key").first).to_have_value("fusion.rank")
        page.screenshot(path=shots / "copy.png", full_page=True)
        submit(page)
        copy = run_of(page)
        ui.cancel(copy)
        copied = ui.client.read_flow_run(copy).parameters
        assert {name: copied[name] for name in values} == values
        ui.final_state(copy)
    finally:
        ui.client.delete_flow_run(planned.id)


def test_a_value_out_of_bounds_is_refused_in_the_form(
    ui: RunningUI, page: Page, shots: Path
) -> None:
    open_form(page, ui, "experiment")
    form = page.locator("form")
    page.get_by_label("rank (Optional)").fill("-1")
    form.evaluate("form => form.noValidate = true")  # a browser would refuse it before the server
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("-1 is less than the minimum of 0").first).to_be_visible()
    page.screenshot(path=shots / "refused.png")
