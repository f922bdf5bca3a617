"""The page of DVC's plots: whole, offline, with every chart drawn."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from workspace import ROOT, Workspace

from stages.plots_page import make_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="module")
def page() -> str:
    return make_page()


def test_the_page_has_dvcs_marks_and_its_own_scripts(page: str) -> None:
    assert page.count("{plot_divs}") == 1
    assert "{scripts}" not in page
    assert "src=" not in page.split("<script>", maxsplit=1)[0]
    assert "window.vegaEmbed" in page


def test_make_install_makes_the_page_and_tells_dvc_of_it() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert "\ninstall: $(VENV)/.installed .dvc/plots.html\n" in makefile
    assert "-m dvc config --quiet --local plots.html_template plots.html" in makefile
    assert "/plots.html" in (ROOT / ".dvc/.gitignore").read_text().splitlines()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_every_plot_is_drawn_without_a_network(
    finished: Workspace, page: str, tmp_path: Path
) -> None:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where there is a browser

    template = tmp_path / "plots.html"
    template.write_text(page, encoding="utf-8")
    written = finished.dvc(
        "plots", "show", "--html-template", str(template), "--out", str(tmp_path)
    )
    assert str(tmp_path) in written.stdout
    asked: list[str] = []
    faults: list[Any] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        shown = browser.new_context(offline=True).new_page()
        shown.on("request", lambda request: asked.append(request.url))
        shown.on("pageerror", lambda fault: faults.append(fault))
        shown.goto((tmp_path / "index.html").as_uri())
        charts = shown.locator("main > div")
        shown.wait_for_function(
            "document.querySelectorAll('main > div canvas').length"
            " === document.querySelectorAll('main > div').length"
        )
        assert charts.count() >= 4
        browser.close()
    assert faults == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
