"""The UI as a person sees it, in a real browser: the form, the run, its artifact."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from chromium import CHROMIUM, QUIET
from playwright.sync_api import Locator, Page, expect, sync_playwright
from running_ui import RunningUI

LONG_MILLISECONDS = 300_000

# Prefect and the libraries below it warn of their own deprecations.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome is installed"),
]


@pytest.fixture
def page(ui: RunningUI) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1400, "height": 1000}, base_url=ui.url)
        page.set_default_timeout(60_000)
        yield page
        browser.close()


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Where the pictures go: the folder that IMF_SCREENSHOTS names, if it does."""
    folder = Path(os.environ.get("IMF_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def open_form(page: Page, ui: RunningUI) -> Locator:
    """Opens the form of an experiment and returns the field of `fusion.rank`."""
    page.goto(f"/deployments/deployment/{ui.deployment('experiment').id}/run")
    named = "//span[text()='rank']/ancestor::div[.//input[@type='number']][1]//input"
    return page.locator(named).first


def test_an_experiment_is_entered_watched_and_its_result_is_read(
    ui: RunningUI, page: Page, shots: Path
) -> None:
    rank = open_form(page, ui)
    expect(rank).to_have_value("3")
    rank.fill("64")
    page.screenshot(path=shots / "form.png")
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("link", name="fusion-rank-64").first.click(timeout=LONG_MILLISECONDS)
    page.wait_for_url("**/runs/flow-run/*")
    run = UUID(urlsplit(page.url).path.rsplit("/", maxsplit=1)[1])
    assert ui.client.read_flow_run(run).parameters["fusion"]["rank"] == 64
    completed = page.get_by_text("Completed", exact=True).first
    expect(completed).to_be_visible(timeout=LONG_MILLISECONDS)
    page.screenshot(path=shots / "run.png")
    page.locator("#artifacts").click()
    page.locator("a[href*=artifact]", has_text="markdown").click()
    expect(page.get_by_role("cell", name="fusion.rank")).to_be_visible()
    page.screenshot(path=shots / "artifact.png")


def test_a_value_out_of_bounds_is_refused_in_the_form(
    ui: RunningUI, page: Page, shots: Path
) -> None:
    open_form(page, ui).fill("-1")
    page.get_by_role("button", name="Submit").click()
    refused = "Validation failed for field 'fusion.rank'. Failure reason: -1 is less than the"
    expect(page.get_by_text(refused).first).to_be_visible()
    page.screenshot(path=shots / "refused.png")
