"""The UI as a person sees it, in a real browser: the form, the run, its artifact."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from running_ui import RunningUI

CHROMIUM = next(
    filter(
        None,
        [
            *map(shutil.which, ("chromium", "chromium-browser", "google-chrome")),
            shutil.which("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
        ],
    ),
    None,
)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MILLISECONDS = 300_000

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


def open_form(page: Page, ui: RunningUI) -> None:
    page.goto(f"/deployments/deployment/{ui.deployment('experiment').id}/run")
    expect(page.get_by_role("button", name="Submit")).to_be_visible()


def test_probe(ui: RunningUI, page: Page, shots: Path) -> None:
    open_form(page, ui)
    page.wait_for_timeout(3000)
    page.screenshot(path=shots / "form.png", full_page=True)
    (shots / "form.html").write_text(page.content())
